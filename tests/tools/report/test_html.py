import json
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from gopseg.tools.report import html
from gopseg.tools.report.charts import Axes, Series, chart, line_chart
from gopseg.tools.report.html_report import class_table
from gopseg.tools.report.html_style import STYLE


class Balance(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.errors = [], []

    def handle_startendtag(self, tag, attrs):
        pass  # <line ... /> opens nothing

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.errors.append(tag)


def document():
    image = np.zeros((8, 8, 3), np.uint8)
    curves = line_chart({"frame": [0.5, 0.5, 0.5], "a<b": [0.5, 0.4, float("nan")]}, "d", "mIoU")
    shares = np.array([[0.9, 0.1], [np.nan, np.nan]])
    return html.page(
        "R & D",
        "lead <1>",
        [
            ("Table", html.table(["mode", "value"], [["<frame>", "1"]])),
            (
                "Shares",
                html.share_table(["c", "v"], [("<road>", [0.5, float("nan")])]) + html.matrix(["a", "b"], shares),
            ),
            ("Facts", html.facts([("a<b", "c>d")]) + html.details("<more>", html.paragraph("<x>"))),
            ("Bars", html.bars([("GFLOP", {"<hr>": 2.0, "ar": 1.0, "none": float("nan")}, ".1f")])),
            ("Chart", curves),
            (
                "Pictures",
                html.legend(["road"], np.array([[1, 2, 3]], np.uint8)) + html.strip([html.picture(image, "x")]),
            ),
        ],
    )


def test_pages_are_whole_escaped_and_self_contained():
    text = document()
    parser = Balance()
    parser.feed(text)
    assert not parser.errors
    assert not parser.open
    for name in ("<frame>", "<road>", "<hr>", "<more>", "<x>", "<1>"):
        assert name not in text
    assert "R &amp; D" in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "url(" not in text
    assert "@import" not in text


def test_charts_plot_each_finite_value_with_its_tooltip_wide_and_narrow():
    text = document()
    assert len(re.findall("<title>frame, ", text)) == 2 * 3
    assert len(re.findall("<title>a&lt;b, ", text)) == 2 * 2
    labels = [float(y) for y in re.findall(r'<text x="\d+" y="([0-9.]+)" text-anchor="start" style="fill', text)]
    assert len(labels) == 2
    assert abs(labels[0] - labels[1]) >= 14


def test_what_pointing_shows_is_what_was_plotted():
    text = chart(
        [Series("a", [1, 2, 4], [0.5, 0.25, 0.125], 0), Series("b", [2], [9], 1)], Axes("x, units", "y", log_x=True)
    )
    data = json.loads(unescape(re.findall(r'data-points="(.*?)"', text)[0]))
    assert [point["x"] for point in data["points"]] == ["1", "2", "4"]
    assert [row[0] for row in data["points"][1]["rows"]] == ["a: 0.25", "b: 9.00"]
    for centres in re.findall(r'data-xs="(.*?)"', text):
        first, second, third = json.loads(centres)
        assert second - first == pytest.approx(third - second, abs=0.2)  # logarithmic


def heights(text):
    return [[float(p.split(",")[1]) for p in one.split()] for one in re.findall(r'<polyline.*? points="(.*?)"', text)]


def test_higher_values_are_drawn_higher_and_inside():
    for low, high in heights(line_chart({"a": [10.0, 20.0]}, "d", "y")):
        assert 0 < high < low < 360
    for low, high in heights(line_chart({"a": [10.0, 10.1]}, "d", "y", least_span=5.0)):
        assert 0 < low - high < 20


def test_what_is_never_negative_has_no_axis_below_zero():
    text = line_chart({"a": [1.0, 1.1]}, "d", "y", least_span=5.0)
    assert ">0</text>" in text
    assert not re.findall(r">[-\N{MINUS SIGN}][0-9.]+</text>", text)
    assert re.findall(r">[-\N{MINUS SIGN}][0-9.]+</text>", line_chart({"a": [-1.0, 1.1]}, "d", "y"))


def test_of_many_classes_those_are_listed_that_occur():
    iou = np.full(50, np.nan)
    iou[[3, 44]] = 0.25, 0.75
    text = class_table([{"variant": "frame", "iou": iou.tolist()}], [f"k{i}" for i in range(50)])
    assert re.findall(r"<td>(k\d+|mean)</td>", text) == ["k3", "k44", "mean"]
    assert "48 of 50 classes neither occur nor are predicted" in text
    assert ">50.0<" in text
    few = class_table([{"variant": "frame", "iou": [0.5, float("nan")]}], ["a", "b"])
    assert re.findall(r"<td>(a|b|mean)</td>", few) == ["a", "b", "mean"]


def test_shares_are_drawn_as_long_as_they_are():
    text = html.share_table(["c", "v"], [("a", [0.25])])
    assert 'style="--v:25.0">25.0' in text
    bars = html.bars([("GFLOP", {"hr": 2.0, "ar": 0.5}, ".2f")])
    assert re.findall(r"--v:([0-9.]+)", bars) == ["100.0", "25.0"]


def test_flat_pictures_keep_their_colours():
    import base64

    import cv2

    image = np.random.default_rng(0).choice(np.array([0, 64, 128, 192], np.uint8), (9, 7, 3))
    coded = base64.b64decode(re.findall(r"base64,(.*?)\"", html.image_tag(image, "x", flat=True))[0])
    decoded = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded[..., ::-1], image)
    wide = html.image_tag(np.zeros((10, 2000, 3), np.uint8), "x")
    assert len(wide) < 1000


def test_paper_and_the_dark_are_provided_for():
    assert "@media print" in STYLE
    assert "prefers-color-scheme: dark" in STYLE

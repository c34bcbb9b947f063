import re
from html.parser import HTMLParser

import numpy as np

from gopseg.tools import html


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
    chart = html.line_chart({"frame": [0.5, 0.5, 0.5], "a<b": [0.5, 0.4, float("nan")]}, "d", "mIoU", (0.0, 1.0))
    return html.page(
        "R & D",
        "lead <1>",
        [
            ("Table", html.table(["mode", "value"], [["<frame>", "1"]])),
            ("Chart", chart),
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
    assert "<frame>" not in text
    assert "R &amp; D" in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)


def test_charts_plot_each_finite_value_once_with_its_tooltip():
    text = document()
    assert len(re.findall("<title>frame, ", text)) == 3
    assert len(re.findall("<title>a&lt;b, ", text)) == 2
    labels = [float(y) for y in re.findall(r'<text x="520" y="([0-9.]+)"', text)]
    assert len(labels) == 2
    assert abs(labels[0] - labels[1]) >= 14

"""The strips of a report: colours and errors of data sets of any number of classes."""

import base64
import re

import cv2
import numpy as np
import pytest

from gopseg.data import load_palette
from gopseg.tools.report import strips as module
from gopseg.tools.report.gallery import Shown
from gopseg.tools.report.strips import strips, variant_figure


def pictures(text):
    found = []
    for coded in re.findall(r'base64,(.*?)"', text):
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(coded), np.uint8), cv2.IMREAD_COLOR)
        found.append(decoded[..., ::-1])
    return found


def shown():
    """VSPW's classes 100 and 20, of which the variant takes a quarter of 100 for 20; a fifth of all is void."""
    truth = np.full((20, 40), 100, np.uint8)
    truth[8:16], truth[16:] = 20, 255
    labels = truth.copy()
    labels[16:] = 20
    labels[:8, :10] = 20
    return Shown("f", 0, np.full((20, 40, 3), 90, np.uint8), truth, {"frame": labels})


def test_a_hundred_classes_are_drawn_and_counted():
    palette = load_palette("vspw")
    one = shown()
    text = variant_figure(one, "frame", one.labels["frame"], palette)
    assert f"{100 * 80 / 640:.1f} % wrong" in text
    drawn, errors = pictures(text)
    np.testing.assert_array_equal(drawn[0, 39], palette.colours[100])
    np.testing.assert_array_equal(drawn[10, 5], palette.colours[20])
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) == 2
    assert tuple(errors[4, 4]) != tuple(errors[4, 30])


@pytest.mark.parametrize(("name", "explained"), [("vspw", 2), ("camvid", 11)])
def test_legends_of_many_classes_hold_those_that_are_seen(name, explained):
    palette, one = load_palette(name), shown()
    if name == "camvid":
        one.truth[one.truth == 100] = 3
    text = strips([one], palette)
    legend = text[text.index('class="legend"') : text.index("</div>")]
    assert len(re.findall("<i style", legend)) == explained + 2  # void and wrong
    assert (palette.names[100] in legend) if name == "vspw" else ("sky" in legend)
    assert module.LEGEND_CLASSES < 124

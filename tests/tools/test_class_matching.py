"""Which of a model's classes is which of a data set's."""

import numpy as np
import pytest

from gopseg.data import VSPW, CamVid, Cityscapes
from gopseg.errors import InputError
from gopseg.tools.class_matching import match_classes


def test_equal_and_numbered_classes_need_no_table():
    data = CamVid("nowhere")
    assert match_classes("m", data.classes, data) is None
    assert match_classes("m", [name.upper() for name in data.classes], data) is None
    assert match_classes("m", [f"class {i}" for i in range(11)], data) is None


def test_classes_in_another_order_are_matched_by_name():
    data = Cityscapes("nowhere")
    names = tuple(reversed([name.replace(" ", "_") for name in data.classes]))
    table = match_classes("m", names, data)
    np.testing.assert_array_equal(table[np.arange(19, dtype=np.uint8)], np.arange(19)[::-1])
    assert table.dtype == np.uint8


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ((*CamVid.classes, "void"), "it has 12 classes, the data set 11; it also has void; take another model"),
        (CamVid.classes[1:], "it has 10 classes, the data set 11; it lacks sky; take"),
        (("dome", *CamVid.classes[1:]), "it lacks sky; it also has dome; take"),
        (VSPW.classes, "it lacks pavement, sign, fence and 2 more; it also has wall, ceiling, door and 115 more"),
        ([f"class {i}" for i in range(19)], "it has 19 classes, the data set 11"),
        (("sky", *CamVid.classes[:10]), "it lacks bicyclist"),
    ],
)
def test_others_are_refused_in_one_line(classes, text):
    with pytest.raises(InputError, match=text) as caught:
        match_classes("net", classes, CamVid("nowhere"))
    assert str(caught.value).startswith("'net' does not fit CamVid: ")
    assert "\n" not in str(caught.value)

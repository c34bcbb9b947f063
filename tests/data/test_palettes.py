"""Palettes: the built-in ones, and files."""

import json

import numpy as np
import pytest

from gopseg.data import Palette, PaletteError, load_palette
from gopseg.data.class_lists import CAMVID_AUTHORS
from gopseg.data.palettes import voc_colours


@pytest.mark.parametrize(
    ("name", "count", "samples"),
    [
        ("camvid", 11, {"sky": (128, 128, 128), "road": (128, 64, 128), "bicyclist": (0, 128, 192)}),
        ("cityscapes", 19, {"road": (128, 64, 128), "car": (0, 0, 142), "bicycle": (119, 11, 32)}),
        ("vspw", 124, {"wall": (128, 0, 0), "ceiling": (0, 128, 0), "train": (96, 64, 192)}),
    ],
)
def test_built_in(name, count, samples):
    palette = load_palette(name)
    assert len(palette) == len(set(palette.names)) == count
    assert len(np.unique(palette.colours, axis=0)) == count
    for class_name, colour in samples.items():
        assert tuple(palette.colours[palette.names.index(class_name)]) == colour


def test_the_palette_of_a_data_sets_folder(tmp_path):
    (tmp_path / "classes.json").write_text('{"classes": {"ground": [1, 2, 3], "person": [4, 5, 6]}, "frame_rate": 5}')
    palette = load_palette(tmp_path)
    assert palette.names == ("ground", "person")
    assert palette.colours.tolist() == [[1, 2, 3], [4, 5, 6]]
    (tmp_path / "classes.json").unlink()
    with pytest.raises(PaletteError, match=r"classes.json': cannot be read"):
        load_palette(tmp_path)
    with pytest.raises(PaletteError, match=r"nor a .json or .csv file or a folder with classes.json"):
        load_palette("camvit")


def test_class_indices_are_those_of_the_labels():
    assert load_palette("camvid").names.index("bicyclist") == 10
    assert load_palette("cityscapes").names.index("sky") == 10
    # VSPW's file value 19 is road.
    assert load_palette("vspw").names.index("road") == 18


def test_voc_map_by_its_published_start():
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert [tuple(c) for c in voc_colours(7)] == expected
    assert tuple(voc_colours(21)[20]) == (0, 64, 128)


def test_color_looks_up_any_shape_and_draws_void_beyond_the_classes():
    palette = Palette(("a", "b"), np.array([(1, 2, 3), (4, 5, 6)], np.uint8), void=(9, 9, 9))
    labels = np.array([[0, 1, 2], [255, 1, 0]], np.uint8)
    expected = [[(1, 2, 3), (4, 5, 6), (9, 9, 9)], [(9, 9, 9), (4, 5, 6), (1, 2, 3)]]
    np.testing.assert_array_equal(palette.color(labels), expected)
    assert palette.color(labels[None]).shape == (1, 2, 3, 3)
    assert palette.table.shape == (256, 3)


def test_a_palette_cannot_be_changed():
    source = np.array([(1, 2, 3)], np.uint8)
    palette = Palette(("a",), source)
    source[:] = 0
    assert palette.colours[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        load_palette("camvid").colours[0] = 0


@pytest.mark.parametrize("heading", ["name,r,g,b\n", "name, r, g, b\n", ""])
def test_csv(tmp_path, heading):
    path = tmp_path / "class_dict.csv"
    path.write_text("\ufeff" + heading + "Sky, 128, 128, 128\nRoad,128,64,128\n\n", encoding="utf-8")
    palette = load_palette(path)
    assert palette.names == ("Sky", "Road")
    np.testing.assert_array_equal(palette.colours, [(128, 128, 128), (128, 64, 128)])


def test_csv_of_camvids_authors(tmp_path):
    path = tmp_path / "class_dict.csv"
    rows = [f"{name},{r},{g},{b}" for name, ((r, g, b), _) in CAMVID_AUTHORS.items()]
    path.write_text("\n".join(["name,r,g,b", *rows]))
    assert len(load_palette(str(path))) == 32


@pytest.mark.parametrize(
    "content",
    [
        {"sky": [1, 2, 3], "road": [4, 5, 6]},
        [{"name": "sky", "color": [1, 2, 3]}, {"name": "road", "color": [4, 5, 6]}],
        {"classes": {"sky": [1, 2, 3], "road": [4, 5, 6]}, "void": 255},
        {"classes": [{"name": "sky", "color": [1, 2, 3]}, {"name": "road", "color": [4, 5, 6]}], "frame_rate": 25},
    ],
)
def test_json(tmp_path, content):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    palette = load_palette(path)
    assert palette.names == ("sky", "road")
    np.testing.assert_array_equal(palette.colours, [(1, 2, 3), (4, 5, 6)])


@pytest.mark.parametrize(
    ("file", "content", "cause"),
    [
        ("a.json", "{", "Expecting property name"),
        ("a.json", '[{"colour": [1, 2, 3]}]', "name"),
        ("a.json", '{"sky": [1, 2]}', "no colour"),
        ("a.json", '{"sky": [1, 2, 256]}', "no colour"),
        ("a.json", "{}", "no classes"),
        ("a.json", "3", "give a name"),
        ("a.csv", "sky,1,2\n", "no colour"),
        ("a.csv", "name,r,g,b\nsky,1,2,x\n", "invalid literal"),
        ("a.csv", "sky,1,2,3\nsky,4,5,6\n", "twice"),
        ("a.csv", "", "no classes"),
    ],
)
def test_wrong_files_are_named_in_one_line(tmp_path, file, content, cause):
    path = tmp_path / file
    path.write_text(content)
    with pytest.raises(PaletteError, match=cause) as caught:
        load_palette(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_binary_files_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(PaletteError, match="no text"):
        load_palette(path)


def test_unknown_names_say_what_is_known():
    with pytest.raises(PaletteError, match="camvid, camvid12, cityscapes, vspw"):
        load_palette("kitti")
    with pytest.raises(PaletteError, match="cannot be read"):
        load_palette("nowhere/classes.csv")


def test_names_and_colours_must_fit():
    with pytest.raises(PaletteError, match=r"2 names needs colours of shape \(2, 3\)"):
        Palette(("a", "b"), np.zeros((3, 3), np.uint8))
    with pytest.raises(PaletteError, match="1 to 255 classes"):
        Palette(tuple(map(str, range(256))), np.zeros((256, 3), np.uint8))

"""A folder of the user's own images, labels and `classes.json`."""

import json
from fractions import Fraction

import cv2
import numpy as np
import pytest

from gopseg.data import VOID, DatasetError, FolderDataset, open_dataset

CLASSES = [{"name": "ground", "color": [1, 2, 3]}, {"name": "thing", "color": [4, 5, 6]}]


def write(path, value, size_hw=(6, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size_hw if "labels" in path.parts else (*size_hw, 3)
    assert cv2.imwrite(str(path), np.full(shape, value, np.uint8))


def describe(root, content):
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.json").write_text(json.dumps(content))
    return root


def test_stills_of_one_split(tmp_path):
    root = describe(tmp_path / "mine", CLASSES)
    for number, kind, label in ((1, "png", 1), (2, "jpg", 0), (10, "webp", 255)):
        write(root / "images" / f"{number}.{kind}", 20 * number)
        write(root / "labels" / f"{number}.png", label)
    data = open_dataset(root)
    assert (data.name, data.title, data.classes) == ("mine", "mine", ("ground", "thing"))
    assert data.palette.colours.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert (data.splits, data.default_split, data.void) == (("all",), "all", 255)
    stills = data.stills("all")
    assert [(sample.name, int(sample.labels[0, 0])) for sample in stills] == [("1", 1), ("2", 0), ("10", VOID)]
    with pytest.raises(DatasetError, match=r'no video; take its stills, or.*"frame_rate" to classes.json'):
        data.sequences("all")
    with pytest.raises(DatasetError, match="no split 'val'; there are: all"):
        data.stills("val")


def test_splits_are_folders(tmp_path):
    root = describe(tmp_path, {"ground": [0, 0, 0]})
    for split, count in (("val", 2), ("train", 3)):
        for i in range(count):
            write(root / split / "images" / f"{i}.png", 9)
            write(root / split / "labels" / f"{i}.png", 0)
    data = FolderDataset(root)
    assert (data.splits, data.default_split) == (("train", "val"), "val")
    assert [len(data.stills(split)) for split in data.splits] == [3, 2]


def test_values_of_label_files_are_what_the_file_says(tmp_path):
    classes = [{**CLASSES[0], "value": 7}, {**CLASSES[1], "value": 26}]
    root = describe(tmp_path, {"classes": classes, "void": [0, 255]})
    write(root / "images" / "a.png", 9)
    write(root / "labels" / "a.png", 0)
    labels = np.array([[7, 26, 0, 255]], np.uint8).repeat(6, 0).repeat(2, 1)
    cv2.imwrite(str(root / "labels" / "a.png"), labels)
    assert FolderDataset(root).stills("all")[0].labels[0, ::2].tolist() == [0, 1, VOID, VOID]
    labels[0, 0] = 8
    cv2.imwrite(str(root / "labels" / "a.png"), labels)
    with pytest.raises(DatasetError, match=r"a.png' has the value 8, which is no class"):
        FolderDataset(root).stills("all")[0]


def test_recordings_are_sequences_some_frames_of_which_have_labels(tmp_path):
    root = describe(tmp_path, {"classes": CLASSES, "frame_rate": 29.97, "licence": "Ours.", "title": "Yard"})
    for drive, labelled in (("a", (0, 1, 2)), ("b", (1,)), ("c", ())):
        for i in range(3):
            write(root / "images" / drive / f"f{9 + i}.png", i)
            if i in labelled:
                write(root / "labels" / drive / f"f{9 + i}.png", 1)
    data = FolderDataset(root)
    assert (data.title, data.licence) == ("Yard", "Ours.")
    assert data.frame_rate == Fraction(2997, 100)
    dense, sparse = data.sequences("all")
    assert (dense.name, len(dense), dense.is_dense) == ("a", 3, True)
    assert (sparse.name, len(sparse), sorted(sparse.label_files)) == ("b", 3, [1])
    assert [path.stem for path in sparse.images] == ["f9", "f10", "f11"]
    assert len(data.stills("all")) == 4


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("{", "is no JSON"),
        ("[]", "has no classes"),
        ('{"classes": [{"name": "a"}]}', "color"),
        ('{"classes": [{"name": "a", "color": [1, 2, 3]}], "frame_rate": "fast"}', "fast"),
        ('{"classes": [{"name": "a", "color": [1, 2, 3]}], "frame_rate": 0}', "frame_rate 0 is no number"),
        ('{"classes": [{"name": "a", "color": [1, 2, 3]}], "void": 300}', "300 is not from 0 to 255"),
        ('{"classes": [{"name": "a", "color": [1, 2, 3]}], "void": 0}', "value 0 is there twice"),
    ],
)
def test_a_wrong_description_is_named_in_one_line(tmp_path, content, cause):
    (tmp_path / "classes.json").write_text(content)
    (tmp_path / "images").mkdir()
    with pytest.raises(DatasetError, match=cause) as caught:
        FolderDataset(tmp_path)
    assert "classes.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"classes.json' cannot be read .*; a data set of your own needs it"):
        FolderDataset(tmp_path)
    describe(tmp_path, CLASSES)
    with pytest.raises(DatasetError, match="has no folder 'images', nor SPLIT/images"):
        FolderDataset(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(DatasetError, match="has no folder 'labels'"):
        FolderDataset(tmp_path).stills("all")
    (tmp_path / "labels").mkdir()
    with pytest.raises(DatasetError, match="holds no images"):
        FolderDataset(tmp_path).stills("all")
    write(tmp_path / "images" / "a.png", 1)
    with pytest.raises(DatasetError, match=r"1 of 1 images, first 'a.png'"):
        FolderDataset(tmp_path).stills("all")

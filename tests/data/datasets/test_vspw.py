"""VSPW's layout, on a tiny data set of its shape that the synthetic street makes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gopseg.data import VOID, DatasetError, SyntheticStreet, load_palette
from gopseg.data.class_lists import CAMVID
from gopseg.data.datasets.vspw import VSPW, draw_clip, read_class_labels, vspw_sequences

# What VSPW calls the street's classes.
NAMES = ("sky", "building", "pole", "road", "path", "tree", "traffic_light", "handrail_or_fence", "car", "person")
TO_VSPW = np.array([VSPW.classes.index(name) for name in (*NAMES, "bicycle")], np.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("VSPW_480p")
    for seed, split in enumerate(("train", "val")):
        name = f"{seed}_street"
        for part in ("origin", "mask"):
            (root / "data" / name / part).mkdir(parents=True)
        for index, (image, labels) in enumerate(SyntheticStreet(seed, (48, 64)).frames(3)):
            raw = TO_VSPW[labels] + np.uint8(1)
            raw[0, :2] = 0, 255
            cv2.imwrite(str(root / "data" / name / "origin" / f"{index:08d}.jpg"), image[..., ::-1])
            cv2.imwrite(str(root / "data" / name / "mask" / f"{index:08d}.png"), raw)
        (root / f"{split}.txt").write_text(name)  # no final newline
    return root


def test_sequences(root):
    (sequence,) = vspw_sequences(root, "val")
    assert sequence.name == "1_street"
    assert len(sequence) == 3
    assert sequence.is_dense
    image, labels = SyntheticStreet(1, (48, 64)).frame(2)
    expected = TO_VSPW[labels]
    expected[0, :2] = VOID
    np.testing.assert_array_equal(sequence.labels(2), expected)
    assert np.abs(sequence.image(2).astype(int) - image).mean() < 8


def test_labels_are_stored_plus_one(tmp_path):
    file = tmp_path / "mask.png"
    cv2.imwrite(str(file), np.array([[0, 1, 124, 125, 255]], np.uint8))
    assert read_class_labels(file).tolist() == [[VOID, 0, 123, VOID, VOID]]


def test_classes_and_palette():
    assert len(VSPW.classes) == 124
    assert (VSPW.classes[0], VSPW.classes[18], VSPW.classes[48], VSPW.classes[123]) == ("wall", "road", "car", "train")
    assert load_palette("vspw").names == VSPW.classes
    assert len(TO_VSPW) == len(CAMVID)


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(DatasetError, match=r"test\.txt"):
        vspw_sequences(root, "test")
    (tmp_path / "val.txt").write_text("gone\n")
    with pytest.raises(DatasetError, match="gone"):
        vspw_sequences(tmp_path, "val")
    (tmp_path / "val.txt").write_text("\n")
    with pytest.raises(DatasetError, match="names no video"):
        vspw_sequences(tmp_path, "val")


def test_empty_files_are_named(root, tmp_path):
    for part in ("origin", "mask"):
        (tmp_path / "data" / "988" / part).mkdir(parents=True)
    (tmp_path / "data" / "988" / "origin" / "1.jpg").write_bytes(b"")
    (tmp_path / "data" / "988" / "mask" / "1.png").write_bytes(b"x")
    (tmp_path / "train.txt").write_text("988\n")
    with pytest.raises(DatasetError, match=r"1\.jpg' is empty"):
        vspw_sequences(tmp_path, "train")


def test_training_clips():
    generator = np.random.default_rng(0)
    clips = {draw_clip(12, generator) for _ in range(200)}
    forward = {(t - 9, t - 6, t - 3, t) for t in (9, 10, 11)}
    backward = {tuple(11 - p for p in clip) for clip in forward}
    assert clips == forward | backward
    with pytest.raises(ValueError, match="too short"):
        draw_clip(9, generator)

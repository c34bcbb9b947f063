"""CamVid in both layouts, and the label files that they read."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from gopseg.data import VOID, CamVid, DatasetError, load_palette
from gopseg.data.class_lists import CAMVID, CAMVID_AUTHORS
from gopseg.data.datasets.layouts.camvid_files import CamVidStills
from gopseg.data.sample import read_labels

SHARED = Path(__file__).parents[4] / "shared" / "data" / "camvid"


def image(value, size_hw=(6, 8)):
    return np.full((*size_hw, 3), value, np.uint8)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if array.ndim == 3:
        array = array[..., ::-1]
    assert cv2.imwrite(str(path), array)


def write_paletted(path, labels, bits=8):
    """A PNG of colour type 3, by hand: the colours are far from the indices."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = labels.shape
    rows = b""
    for row in labels:
        line = "".join(f"{value:0{bits}b}" for value in row)
        line += "0" * (-len(line) % 8)
        rows += b"\0" + int(line, 2).to_bytes(len(line) // 8, "big")
    palette = bytes((255 - i) % 256 for i in range(3 * 2**bits))
    header = struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", palette) + chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(data + chunk(b"IEND", b""))


@pytest.fixture
def segnet_root(tmp_path):
    labels = np.tile(np.arange(12, dtype=np.uint8), (6, 1))
    for number in (10, 2, 1):
        write(tmp_path / "train" / f"f{number}.webp", image(number, (6, 12)))
        write(tmp_path / "trainannot" / f"f{number}.png", labels)
    return tmp_path


@pytest.fixture
def authors_root(tmp_path):
    names = list(CAMVID_AUTHORS)
    row = np.array([CAMVID_AUTHORS[name][0] for name in names] + [(1, 2, 3)], np.uint8)
    for stem, suffix in (("0001TP_006690", "_L"), ("0001TP_006720", "")):
        write(tmp_path / "val" / f"{stem}.png", image(40, (4, 33)))
        write(tmp_path / "val_labels" / f"{stem}{suffix}.png", np.tile(row, (4, 1, 1)))
    return tmp_path


def test_segnet_layout(segnet_root):
    data = CamVid(segnet_root).stills("train")
    assert data.layout == "segnet"
    assert [sample.name for sample in data] == ["f1", "f2", "f10"]
    assert data[1].image.shape == (6, 12, 3)
    np.testing.assert_array_equal(data[0].labels[0], [*range(11), VOID])


def test_authors_layout_groups_the_32_classes(authors_root):
    data = CamVid(authors_root).stills("val")
    assert data.layout == "authors"
    assert [sample.name for sample in data] == ["0001TP_006690", "0001TP_006720"]
    classes = list(CAMVID)
    groups = [group for _, group in CAMVID_AUTHORS.values()]
    expected = [VOID if group is None else classes.index(group) for group in groups] + [VOID]
    for sample in data:
        np.testing.assert_array_equal(sample.labels, np.tile(np.array(expected, np.uint8), (4, 1)))


def test_every_class_has_its_own_colour_among_the_authors():
    for name, colour in CAMVID.items():
        assert [group for c, group in CAMVID_AUTHORS.values() if c == colour] == [name]
    assert len({colour for colour, _ in CAMVID_AUTHORS.values()}) == 32


def test_class_dict_rules_over_the_authors_colours(authors_root):
    rows = [f"{name},{r},{g},{b}" for name, ((r, g, b), _) in CAMVID_AUTHORS.items() if name != "Car"]
    (authors_root / "class_dict.csv").write_text("\n".join(["name, r, g, b", *rows, "Car, 1, 2, 3"]))
    labels = CamVid(authors_root).stills("val")[0].labels[0]
    assert labels[32] == 8
    assert labels[list(CAMVID_AUTHORS).index("Car")] == VOID


def test_class_dict_with_foreign_classes_is_refused(authors_root):
    (authors_root / "class_dict.csv").write_text("name,r,g,b\nSpaceship,1,2,3\n")
    with pytest.raises(DatasetError, match="'Spaceship' is none of CamVid's 32 classes"):
        CamVid(authors_root).stills("val")


def test_labels_in_foreign_colours_are_refused(authors_root):
    write(authors_root / "val_labels" / "0001TP_006720.png", image(7, (4, 33)))
    with pytest.raises(DatasetError, match=r"0001TP_006720.png.*100 %"):
        CamVid(authors_root).stills("val")[1]


def test_layout_can_be_forced(segnet_root):
    with pytest.raises(DatasetError, match="no folder 'train_labels'"):
        CamVidStills(segnet_root, "train", layout="authors")


@pytest.mark.parametrize(("split", "text"), [("test", "'testannot' nor 'test_labels'")])
def test_missing_splits_are_named(segnet_root, split, text):
    with pytest.raises(DatasetError, match=text):
        CamVid(segnet_root).stills(split)


def test_missing_roots_are_named(tmp_path):
    with pytest.raises(DatasetError, match="no folder; check the path"):
        CamVid(tmp_path / "nowhere").stills("train")


def test_images_without_labels_are_named(segnet_root):
    (segnet_root / "trainannot" / "f2.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 3 images, first 'f2.webp'"):
        CamVid(segnet_root).stills("train")


def test_two_images_of_one_stem_are_refused(segnet_root):
    write(segnet_root / "train" / "f2.png", image(1))
    with pytest.raises(DatasetError, match="remove one"):
        CamVid(segnet_root).stills("train")


def test_labels_of_another_size_are_refused(segnet_root):
    write(segnet_root / "trainannot" / "f2.png", np.zeros((3, 12), np.uint8))
    with pytest.raises(DatasetError, match=r"12x3 pixels.*12x6; make them equal"):
        CamVid(segnet_root).stills("train")[1]


def test_the_shared_copy():
    if not SHARED.is_dir():
        pytest.skip("the shared CamVid is not here")
    sizes = {split: CamVid(SHARED).stills(split) for split in ("train", "val", "test")}
    assert {split: len(data) for split, data in sizes.items()} == {"train": 367, "val": 48, "test": 233}
    seen = np.zeros(256, int)
    for sample in (data[index] for data in sizes.values() for index in (0, 20)):
        assert sample.image.shape == (360, 480, 3)
        seen += np.bincount(sample.labels.ravel(), minlength=256)
    assert (seen[:10] > 0).all()
    assert seen[11:VOID].sum() == 0


@pytest.mark.parametrize("bits", [8, 4, 2, 1])
@pytest.mark.parametrize("width", [7, 8, 33])
def test_paletted_labels_are_read_as_indices(tmp_path, bits, width):
    labels = np.random.default_rng(bits).integers(0, 2**bits, (5, width)).astype(np.uint8)
    write_paletted(tmp_path / "labels.png", labels, bits)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.png"), labels)


def test_grey_labels_are_read_as_they_are(tmp_path):
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write(tmp_path / "labels.png", labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.png"), labels)


def test_labels_of_another_kind_are_refused(tmp_path):
    write(tmp_path / "colour.png", image(3))
    write(tmp_path / "deep.png", np.full((4, 4), 300, np.uint16))
    (tmp_path / "text.png").write_text("no image")
    write_paletted(tmp_path / "cut.png", np.zeros((9, 9), np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:40])
    for name, cause in (("colour", "one 8-bit channel"), ("deep", "uint16"), ("text", "read"), ("cut", "read")):
        with pytest.raises(DatasetError, match=cause) as caught:
            read_labels(tmp_path / f"{name}.png")
        assert f"{name}.png" in str(caught.value)
    with pytest.raises(DatasetError, match="read"):
        read_labels(tmp_path / "nowhere.png")


def test_the_palette_draws_what_the_authors_drew(authors_root):
    """Colour labels to indices and back: the 11 classes with a colour of their own come back as they were."""
    labels = CamVid(authors_root).stills("val")[0].labels[0]
    drawn = load_palette("camvid").color(labels)
    for at, (colour, group) in enumerate(CAMVID_AUTHORS.values()):
        if group is not None and CAMVID[group] == colour:
            assert tuple(drawn[at]) == colour

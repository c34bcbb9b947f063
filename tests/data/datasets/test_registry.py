"""The data sets by name: their facts, and how they are opened."""

import subprocess
import sys
from fractions import Fraction

import pytest

from gopseg.data import DATASETS, CamVid, DatasetError, dataset_names, dataset_type, load_palette, open_dataset


@pytest.mark.parametrize(
    ("name", "title", "classes", "frame_rate"),
    [
        ("camvid", "CamVid", 11, 15),
        ("camvid12", "CamVid, 12 classes", 12, 15),
        ("cityscapes", "Cityscapes", 19, 17),
        ("vspw", "VSPW", 124, 15),
    ],
)
def test_facts_are_known_without_files(name, title, classes, frame_rate):
    kind = dataset_type(name)
    assert (kind.name, kind.title, len(kind.classes), kind.frame_rate) == (name, title, classes, Fraction(frame_rate))
    assert kind.classes == kind.palette.names == load_palette(name).names
    assert kind.void == 255
    assert kind.licence.endswith(".")


def test_a_name_needs_its_folder_and_a_folder_none(tmp_path):
    for name in ("camvid", "CamVid"):
        data = open_dataset(name, tmp_path)
        assert isinstance(data, CamVid)
        assert data.root == tmp_path
    with pytest.raises(DatasetError, match="'vspw' needs --root FOLDER"):
        open_dataset("vspw")
    with pytest.raises(DatasetError, match="is a folder already; leave --root out"):
        open_dataset(tmp_path, tmp_path)
    with pytest.raises(DatasetError, match=r"unknown data set 'kitti'; there are: camvid, .*vspw, or a folder with"):
        open_dataset("kitti", tmp_path)
    with pytest.raises(DatasetError, match="--frames 'x': VSPW keeps its frames in its own folder"):
        open_dataset("vspw", tmp_path, frames="x")


def test_camvid_with_whole_videos_has_their_rate(tmp_path):
    assert open_dataset("camvid", tmp_path).frame_rate == 15
    assert open_dataset("camvid12", tmp_path, frames=tmp_path / "elsewhere").frame_rate == 30
    (tmp_path / "frames").mkdir()
    assert open_dataset("camvid", tmp_path).frame_rate == 30


def test_what_is_no_video_says_what_to_do(tmp_path):
    class Pictures(CamVid):
        title = "Pictures"
        sequences = CamVid.__base__.sequences

    with pytest.raises(DatasetError, match="Pictures val is no video; take its stills"):
        Pictures(tmp_path).sequences("val")


def test_names_cost_no_heavy_import():
    code = (
        "import sys; from gopseg.data import dataset_names, known_datasets; assert known_datasets();"
        "print(*dataset_names()); heavy = {'torch', 'cv2', 'av', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tuple(done.stdout.split()) == dataset_names() == tuple(DATASETS)

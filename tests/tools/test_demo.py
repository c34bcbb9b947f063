"""The vertical: what `make demo` does, on a shorter street, with the shipped weights."""

import json
import re

import pytest
from click.testing import CliRunner

from gopseg.codec import open_video
from gopseg.data.image import read_image
from gopseg.tools.demo import main


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    result = CliRunner().invoke(main, ["-o", str(folder), "--frames", "24"])
    assert result.exit_code == 0, result.output
    return folder


def test_the_videos_are_whole_and_the_network_saw_keyframes_only(demo):
    for mode, network_frames in (("frame", 24), ("auto", 2), ("motion", 2), ("ar", 2)):
        stats = json.loads((demo / f"{mode}.json").read_text())
        assert stats["frames"] == 24
        assert stats["network_frames"] >= network_frames
        with open_video(demo / f"{mode}.mp4", motion=False) as video, open_video(demo / "street.mp4") as source:
            assert video.size_hw == source.size_hw
            assert [f.pts_seconds for f in video] == [f.pts_seconds for f in source]
    assert stats["network_frames"] < 6


def test_the_street_comes_out_right(demo):
    """Most of the picture is labelled as it is, in every mode, on a street that no training has seen."""
    report = (demo / "report.html").read_text()
    right = {
        mode: float(share) for mode, share in re.findall(r"<td>(frame|auto|motion|ar)</td>.*?([0-9.]+)%</td>", report)
    }
    assert set(right) == {"frame", "auto", "motion", "ar"}
    assert right["auto"] > right["frame"] - 2
    assert right["frame"] > 88
    assert right["motion"] > right["frame"] - 3
    assert right["ar"] > right["frame"] - 2


def test_the_report_is_self_contained_and_its_picture_is_three_frames_wide(demo):
    report = (demo / "report.html").read_text()
    assert report.count("data:image/webp;base64,") == 24
    assert "http" not in report
    assert read_image(demo / "picture.webp").shape == (360, 3 * 480, 3)


def test_a_demo_that_is_there_is_refused_or_kept(tmp_path):
    (tmp_path / "report.html").write_text("precious")
    for arguments, status, text in (([], 2, "give -y to replace it"), (["-n"], 0, "is kept")):
        result = CliRunner().invoke(main, ["-o", str(tmp_path), *arguments])
        assert (result.exit_code, text in result.stderr) == (status, True)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report.html", "precious")]

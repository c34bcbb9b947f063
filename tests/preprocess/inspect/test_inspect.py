"""`preprocess inspect`: the table, the JSON and the picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from gopseg.preprocess import load_metadata
from gopseg.preprocess.main import main

Command = Callable[..., Result]


def test_the_json_agrees_with_what_extract_writes(
    inspect: Command, extract: Command, corpus_video: Path, tmp_path: Path
) -> None:
    extract(corpus_video, "-o", tmp_path / "a.npz")
    data = load_metadata(tmp_path / "a.npz")
    content = json.loads(inspect(corpus_video, "--json", "--frames").stdout)
    assert content["pict_types"] == {"P": 36, "I": 4}
    assert content["gop_lengths"] == {"12": 3, "4": 1}
    assert content["size_hw"] == [96, 128]
    assert content["frame_rate"] == "25"
    assert content["codec"] == "h264"
    assert content["frame_count"] == 40
    assert content["duration_seconds"] == pytest.approx(1.6)
    assert content["bytes"] == data.packet_bytes.sum()
    assert content["bitrate_bps"] == round(8 * data.packet_bytes.sum() / 1.6)
    assert content["reference_frames"] == 1
    assert content["motion_absence"] is None
    assert [gop["bytes"] for gop in content["gops"]] == [data.packet_bytes[i : i + 12].sum() for i in range(0, 40, 12)]
    assert [(gop["first"], gop["last"]) for gop in content["gops"]] == [(0, 11), (12, 23), (24, 35), (36, 39)]
    for index, frame in enumerate(content["frames"]):
        assert frame["packet_bytes"] == data.packet_bytes[index]
        assert frame["distance"] == index % 12
        assert frame["pts_seconds"] == pytest.approx(index / 25)
        assert frame["qp_mean"] == pytest.approx(data.qp[index].mean())
        assert frame["intra_share"] == pytest.approx(data.intra[index].mean())
        length = np.hypot(*np.moveaxis(data.motion[index][~data.intra[index]] / 4, 1, 0))
        assert frame["motion_px_mean"] == (None if index % 12 == 0 else pytest.approx(length.mean(), rel=1e-5))
    second = content["frames"][13:24]
    for key in ("motion_px_mean", "intra_share"):
        assert content["gops"][1][key] == pytest.approx(np.mean([frame[key] for frame in second]))
    assert content["gops"][1]["qp_mean"] == pytest.approx(data.qp[12:24].mean())


def test_frames_are_in_the_json_only_when_asked_for(inspect: Command, corpus_video: Path) -> None:
    assert "frames" not in json.loads(inspect(corpus_video, "--json").stdout)


def test_the_table_has_two_lines_a_gop_and_the_totals_below(inspect: Command, corpus_video: Path) -> None:
    lines = inspect(corpus_video).stdout.splitlines()
    assert lines[0] == f"{corpus_video}: h264, 128x96, yuv420p, 25 frames/s"
    assert " ".join(lines[2].split()) == "GOP frames types, and sizes below bytes QP motion px intra %"
    gop = lines[5].split()
    assert gop[:3] == ["1", "12-23", "IPPPPPPPPPPP"]
    assert float(gop[5]) == pytest.approx(13**0.5, abs=0.2)
    bars = lines[6].strip()
    assert len(bars) == 12
    assert bars[0] == "█"
    assert lines[6].index("█") == lines[5].index("I")
    assert max(map(len, lines[2:11])) < 80
    totals = dict(line.split(maxsplit=1) for line in lines[12:])
    assert list(totals) == ["frames", "GOPs", "bitrate", "QP", "references", "cuts", "motion"]
    assert totals["frames"] == "40 in 1.600 s: 36 P, 4 I"
    assert totals["GOPs"] == "4: 3 of 12, 1 of 4 frames"
    assert totals["references"] == "1 at most"
    assert totals["motion"].startswith("to the previous frame, 3.")


def test_a_row_for_each_frame(inspect: Command, corpus_video: Path) -> None:
    lines = inspect(corpus_video, "--frames").stdout.splitlines()
    rows = [line.split() for line in lines[3:43]]
    assert [int(row[0]) for row in rows] == list(range(40))
    assert [row[2] for row in rows[11:14]] == ["P", "I*", "P"]
    assert rows[13][1] == "0.520"
    assert rows[12][-2:] == ["-", "100.0"]
    assert rows[12][5] == "████████"
    assert len(rows[13][5]) < 8


def test_long_gops_wrap(inspect: Command, make, tmp_path: Path) -> None:
    path = make.video(tmp_path / "long.mp4", make.moving(30), options={"x264-params": "bframes=0:ref=1:keyint=250"})
    lines = inspect(path).stdout.splitlines()
    assert lines[3].split()[2] == "I" + 23 * "P"
    assert lines[5].strip() == 6 * "P"
    assert lines[5].index("P") == lines[3].index("I")
    assert len(lines[6].strip()) == 6


@pytest.mark.parametrize(
    ("name", "reason", "absence"),
    [
        ("bframes", "the stream has B-frames", "B_FRAMES"),
        ("references", "the stream predicts from several reference frames", "REFERENCES"),
        ("hevc", "FFmpeg exports no motion vectors for this codec", "CODEC"),
    ],
)
def test_missing_motion_is_a_dash_with_the_reason(
    inspect: Command, foreign: Callable[[str], Path], name: str, reason: str, absence: str
) -> None:
    lines = inspect(foreign(name)).stdout.splitlines()
    assert lines[3].split()[5] == "-"
    start = "not usable" if absence == "CODEC" else "to several frames"
    assert lines[-1].startswith(f"motion      {start}: {reason} (")
    content = json.loads(inspect(foreign(name), "--json", "--frames").stdout)
    assert content["motion_absence"] == absence
    assert content["motion_absence_reason"] == reason
    assert all(frame["motion_px_mean"] is None for frame in content["frames"])
    assert ("B" in content["pict_types"]) == (name == "bframes")
    assert (content["qp_mean"] is None) == (name == "hevc") == (content["reference_frames"] is None)
    if name == "references":
        assert content["reference_frames"] == 3
        assert 0 <= content["intra_share"] < 0.5


def test_a_terminal_without_block_signs_gets_ascii(corpus_video: Path) -> None:
    result = CliRunner(charset="ascii").invoke(main, ["inspect", str(corpus_video)])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[4].strip()[0] == "#"
    assert result.stdout.isascii()


def test_the_picture(inspect: Command, corpus_video: Path, foreign: Callable[[str], Path], tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.png"
    assert inspect(corpus_video, "--plot", file).exit_code == 0
    first = cv2.imread(str(file))
    assert first.shape[0] > 400
    assert first.shape[1] > 800
    orange = (np.abs(first.astype(int) - (0x0D, 0x73, 0xD9)).max(2) < 8).sum()
    blue = (np.abs(first.astype(int) - (0x99, 0x6E, 0x0B)).max(2) < 8).sum()
    assert orange > 500
    assert blue > 500
    assert list(file.parent.iterdir()) == [file]
    refused = inspect(corpus_video, "--plot", file)
    assert refused.exit_code == 2
    assert refused.stderr == f"Error: {file}: exists; give -y to replace it, or -n to keep it\n"
    assert refused.stdout == ""
    kept = inspect(foreign("hevc"), "--plot", file, "-n")
    assert (kept.exit_code, "is kept" in kept.stderr) == (0, True)
    assert np.array_equal(cv2.imread(str(file)), first)
    assert inspect(foreign("hevc"), "--plot", file, "-y").exit_code == 0
    assert not np.array_equal(cv2.imread(str(file)), first)


def test_without_matplotlib_the_error_names_the_extra(
    inspect: Command, corpus_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = inspect(corpus_video, "--plot", tmp_path / "a.png")
    assert result.exit_code == 2
    assert result.stderr == "Error: --plot: needs matplotlib; install it by pip install 'gopseg[report]'\n"
    assert result.stdout == ""
    assert inspect(corpus_video).exit_code == 0


def test_bad_sources(inspect: Command, make, tmp_path: Path) -> None:
    make.folder(tmp_path / "frames", make.moving(2))
    (tmp_path / "empty.mp4").touch()
    for source, cause in (
        ("missing.mp4", "no such file; check the path"),
        ("empty.mp4", "the file is empty"),
        ("frames", "is a folder, and still images carry no codec metadata"),
    ):
        result = inspect(tmp_path / source)
        assert result.exit_code == 2
        assert cause in result.stderr
        assert result.stdout == ""

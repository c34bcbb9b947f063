"""`benchmark-segnet speed`: rows in turns, what bounds them, peers, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.codec import open_video
from gopseg.errors import GopsegError
from gopseg.segnet import SwiftNet, save_model
from gopseg.tools.benchmark.main import segnet as main
from gopseg.tools.benchmark.speed.naive_arseg import NaiveARSeg, chained, vectors_of, warp
from gopseg.tools.benchmark.speed.peers import Clock, peer_rows
from gopseg.tools.benchmark.speed.rows import Row, Took, bound_by, in_turns
from gopseg.tools.benchmark.speed.sources import at_size

torch.set_num_threads(1)  # the pictures are tiny, and a busy machine makes threads wait for each other


def clip_with(file: Path, frames: int, **options: str) -> Path:
    """96x64 pixels of noise that slides 2 pixels a frame to the right."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = 64, 96, "yuv420p", 100
        noise = np.random.default_rng(0).integers(0, 255, (8, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        for i in range(frames):
            image = np.ascontiguousarray(np.roll(noise, 2 * i, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return file


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("clip") / "x.mp4"
    return clip_with(file, 16, bf="0", refs="1", **{"x264-params": "scenecut=0:weightp=0"})


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("model") / "random.safetensors"
    save_model(SwiftNet(3), file, "swiftnet18")
    return file


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["speed", *map(str, arguments)])


def test_rows_take_turns_after_runs_that_grow_until_they_say_how_many_frames_fit() -> None:
    order: list[tuple[str, int]] = []

    def row(name: str, rate: float, least: int) -> Row:
        def do(frames: int) -> Took:
            order.append((name, frames))
            if name == "none":
                raise GopsegError("is not installed")
            return Took(frames, frames / rate, frames / rate)

        return Row(name, do, least, 48)

    rows = [row("fast", 1000, 12), row("slow", 1, 3), row("middle", 20, 3), row("none", 1, 1), row("very slow", 0.1, 1)]
    found, missing = in_turns(rows, 2, seconds=1.5)
    assert missing == {"none": "is not installed"}
    finding = [("fast", 12), ("fast", 12), ("fast", 48), ("slow", 3), ("slow", 3)]
    finding += [("middle", 3), ("middle", 3), ("middle", 30), ("none", 1), ("very slow", 1)]
    assert order[:10] == finding
    assert order[10:14] == [("fast", 48), ("slow", 3), ("middle", 30), ("very slow", 1)]
    assert order[14:] == [("slow", 3), ("middle", 30), ("fast", 48)]
    assert [len(each) for each in found.values()] == [2, 2, 2, 1]


def test_the_busiest_thread_bounds_a_row() -> None:
    row = Row("x", lambda _: Took(1, 1, 1), 1, 1, "decoding", are_threads=True)
    stages = {"read": 300.0, "rgb": 20.0, "network": 500.0, "motion": 400.0, "write": 700.0, "encode": 600.0}
    took = Took(10, 1.0, 1.9, {**stages, "labels": 100.0})
    assert bound_by(row, [took], 2) == "all cores; main thread, 90% busy: network"
    assert bound_by(row, [Took(10, 1.0, 1.5, stages)], 2) == "main thread, 90% busy: network"
    assert bound_by(row, [Took(10, 2.0, 1.5, stages)], 2) == "main thread, 45% busy, waiting for others: network"
    writing = Took(10, 1.0, 1.5, {"write": 950.0, "encode": 800.0, "overlay": 100.0})
    assert bound_by(row, [writing], 2) == "writer thread, 95% busy: encode"
    assert bound_by(Row("x", row.run, 1, 1, "decoding"), [Took(1, 1, 1)], 2) == "decoding"


def test_modes_beside_decoding_and_transcoding(clip: Path, model_file: Path, tmp_path: Path) -> None:
    rows = "decoding,transcoding,reading with,metadata,mode frame,mode motion,mode lr,between"
    common = ("--as-is", "--model", model_file, "--repeats", 1, "--precision", "fp32", "--runtime", "torch")
    result = run(clip, *common, "--frames", 14, "--rows", rows, "--json", tmp_path / "r.json", "--markdown")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "r.json").read_text())
    (table,) = report["tables"]
    assert (table["size_hw"], table["is_encoded_anew"]) == ([64, 96], False)
    assert table["computed_by"] == "torch in fp32"
    found = table["rows"]
    assert found["mode frame"]["network_frames"] == found["mode frame"]["frames"]
    assert found["mode motion"]["network_frames"] < found["mode motion"]["frames"] == 14
    assert found["between keyframes, labels"]["network_frames"] == 0
    assert found["between keyframes, labels"]["frames"] == 13
    assert all(row["frames_per_second"] > 0 and row["cpu_ms_per_frame"] > 0 for row in found.values())
    motion, decoding = found["mode motion"], found["decoding"]
    ratio = motion["frames_per_second"] / decoding["frames_per_second"]
    assert motion["of_decoding"]["by_clock"] == pytest.approx(ratio, rel=0.05, abs=2e-3)
    assert {"read", "network", "motion", "labels", "write"} <= set(motion["stages_ms"])
    assert {"overlay", "encode"} <= set(found["between keyframes, overlay"]["stages_ms"])
    assert "'random' has no LR branch" in table["left_out"]["mode lr"]
    assert set(table["composition_ms"]) == {"1", "6", "11"}
    assert {"between keyframes, labels / decoding", "reading with vectors / decoding"} < set(table["goals"])
    assert all(goal["met"] == (goal["ratio"] >= goal["least"]) for goal in table["goals"].values() if "least" in goal)
    assert report["packages"]["torch"] == torch.__version__
    lines = result.stdout.splitlines()
    assert sum(line.startswith("| ") for line in lines) == 2 + len(found)
    assert any(line.startswith("- left out: mode lr: ") for line in lines)


def test_another_size_is_encoded_with_keyframes_as_asked(clip: Path, tmp_path: Path) -> None:
    file = at_size(clip, (32, 48), 10, 4, tmp_path)
    with open_video(file) as video:
        assert (video.size_hw, video.motion_absence) == ((32, 48), None)
        assert [frame.is_keyframe for frame in video] == [i % 4 == 0 for i in range(10)]


def test_b_frames_have_no_composition_to_time(tmp_path: Path, model_file: Path) -> None:
    file = clip_with(tmp_path / "b.mp4", 8, bf="2")
    rows = ("--rows", "reading with,decoding", "--repeats", 1, "--json", tmp_path / "r.json")
    result = run(file, "--as-is", "--model", model_file, *rows)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "r.json").read_text())["tables"][0]["composition_ms"] == {}
    assert "between keyframes" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "nonesuch"), "unknown model"),
        (("--rows", "warp"), "--rows warp: no row begins so; there are: decoding"),
        (("--size", "31x20"), "--size 31x20: H.264 encodes even sizes"),
        (("--size", "32x20", "--as-is"), "contradict each other"),
    ],
)
def test_what_cannot_be_is_refused(clip: Path, arguments: tuple[str, ...], words: str) -> None:
    result = run(clip, *([] if "--size" in arguments else ["--as-is"]), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_plain_loop_and_its_stages(clip: Path, model_file: Path) -> None:
    row = next(row for row in peer_rows(clip, str(model_file), "cpu", 4, one_thread=True) if "random" in row.name)
    assert row.name == f"plain loop, {model_file}, torch"
    took = row.run(3)
    assert (took.frames, took.network_frames) == (3, 3)
    assert list(took.stages) == ["decode", "rgb", "network", "labels"]
    assert sum(took.stages.values()) == pytest.approx(1e3 * took.seconds, rel=0.2)


def test_naive_arseg_follows_pixels_to_the_keyframe(clip: Path) -> None:
    network = SwiftNet(3).eval()
    system, clock = NaiveARSeg(network, "cpu"), Clock({})
    with torch.inference_mode(), av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"flags2": "+export_mvs"}
        pictures = list(container.decode(stream))[:4]
        for picture in pictures:
            assert system.label(picture, clock).shape == (64, 96)
    assert set(clock.stages) == {"rgb", "network", "motion", "warp", "fusion", "labels"}
    places = None
    for picture in pictures[1:]:
        places = chained(vectors_of(picture), places)
    x = places[8:-8, 24:-24, 0] - np.arange(24, 72)
    assert np.median(x) == -6, "three steps of two pixels to the left"
    features = torch.arange(96.0).expand(1, 1, 64, 96)
    whole = chained(np.zeros((64, 96, 2), np.int32), None)
    torch.testing.assert_close(warp(features, whole), features, atol=1e-3, rtol=0)

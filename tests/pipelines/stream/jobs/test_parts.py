"""One file in parts: the outputs are those of one worker, whatever becomes of the workers meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from gopseg.console import Existing
from gopseg.pipelines import KeyframePipeline, Runners, StreamRequest, StreamUsageError, segment_stream
from gopseg.pipelines.stream import Places, segment_many
from gopseg.pipelines.stream.jobs import planning
from gopseg.pipelines.stream.jobs.tasks import Agreed, do_task
from gopseg.processes import run_here

OPEN = {"x264-params": "bframes=2:ref=3:open-gop=1:keyint=6:min-keyint=6:scenecut=0"}
KINDS = ("overlay", "labels", "color", "rle")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """48 frames with a keyframe every 6 make four parts."""
    monkeypatch.setattr(planning, "LEAST_GOPS", 2)
    monkeypatch.setattr(planning, "LEAST_FRAMES", 12)
    monkeypatch.setattr(planning, "FRAMES_A_WORKER", 1)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are done one after the other in this process."""
    monkeypatch.setattr(Places, "run", lambda _, tasks, hear, end: run_here(tasks, do_task, hear, end))


@pytest.fixture(scope="module")
def half_new(square_images) -> list[np.ndarray]:
    """48 pictures. Two frames before each keyframe the lower half is new: more than motion explains, and less than
    it takes to look again where the last GOP says that a keyframe is near."""
    images = [image.copy() for image in square_images * 4]
    rng = np.random.default_rng(0)
    for begin in range(4, 48, 6):
        lower = rng.integers(0, 256, (28, 96, 3), np.uint8)
        for image in images[begin : begin + 6]:
            image[36:] = lower
    return images


@pytest.fixture
def request_for(tmp_path: Path, model_file: Path) -> Callable[..., StreamRequest]:
    """A request into a folder of its own."""

    def make(source: Path, folder: str, **options: Any) -> StreamRequest:
        (tmp_path / folder).mkdir(exist_ok=True)
        options = {"save": KINDS, **options}
        return StreamRequest(
            source=str(source),
            output=tmp_path / folder / "x.mp4",
            model=str(model_file),
            device="cpu",
            precision="fp32",
            quiet=True,
            **options,
        )

    return make


def content(folder: Path) -> dict[str, Any]:
    """All outputs: bytes of what holds labels, times and number of the overlay's pictures."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    found: dict[str, Any] = {
        str(file.relative_to(folder)): file.read_bytes() for file in files if file.suffix != ".mp4"
    }
    if (folder / "x.mp4").exists():
        with av.open(str(folder / "x.mp4")) as container:
            track = container.streams.video[0]
            found["length"] = track.duration * track.time_base, track.frames
            found["times"] = [picture.pts * picture.time_base for picture in container.decode(track)]
        with av.open(str(folder / "x.mp4")) as container:
            found["sound"] = (
                [(packet.pts, packet.size) for packet in container.demux(audio=0)]
                if len(container.streams.audio)
                else None
            )
    return found


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({}, {"mode": "motion"}),
        (OPEN, {}),
        ({"x264-params": "bframes=0:ref=3:scenecut=0"}, {"start": 0.3, "end": 1.7, "save": ("rle", "overlay")}),
        ({}, {"mode": "flow", "max_frames": 40, "save": ("labels",)}),
    ],
)
@pytest.mark.usefixtures("here")
def test_the_same_bytes(
    tmp_path: Path,
    make_clip,
    half_new,
    request_for,
    capsys: pytest.CaptureFixture[str],
    options: dict[str, str],
    given: dict[str, Any],
) -> None:
    clip = make_clip(tmp_path / "in.mp4", half_new, options=options or None)
    segment_stream(request_for(clip, "one", **given))
    request = replace(request_for(clip, "parts", **given), quiet=False)
    summary = segment_many([request], Places(2), stats_file=tmp_path / "s.json")
    assert summary.exit_status == 0
    found = content(tmp_path / "parts")
    assert found == content(tmp_path / "one")
    statistics = json.loads((tmp_path / "s.json").read_text())
    assert statistics["parts"] > 1
    assert (
        statistics["frames"]
        == sum(statistics["pict_types"].values())
        == len(found.get("times", range(statistics["frames"])))
    )
    expected = statistics.get("expected_agreement")
    said = capsys.readouterr().err
    assert f"{statistics['parts']} parts -> " in said
    assert said.rstrip().endswith(str(tmp_path / "s.json"))
    assert (expected is not None and f", expected agreement {100 * expected:.1f} %, " in said) == ("mode" not in given)


def test_calls_can_share_networks(square_clip: Path, request_for) -> None:
    runners = Runners()
    for folder in ("one", "two"):
        segment_stream(request_for(square_clip, folder, mode="motion", save=("rle",)), runners=runners)
    assert len(set(map(id, runners._made.values()))) == 1


@pytest.mark.usefixtures("here")
def test_sound_is_kept(tmp_path: Path, make_clip, half_new, request_for) -> None:
    silent = make_clip(tmp_path / "silent.mp4", half_new)
    with av.open(str(silent)) as source, av.open(str(tmp_path / "in.mp4"), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        audio = target.add_stream("aac", rate=8000, layout="mono")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                target.mux(packet)
        for begin in range(0, 16000, 1000):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1000), 0.1, np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, begin, Fraction(1, 8000)
            target.mux(audio.encode(frame))
        target.mux(audio.encode(None))
    given = {"save": ("overlay",), "start": 0.5}
    segment_stream(request_for(tmp_path / "in.mp4", "one", **given))
    segment_many([request_for(tmp_path / "in.mp4", "parts", **given)], Places(2))
    expected = content(tmp_path / "one")
    assert expected["sound"]
    assert content(tmp_path / "parts") == expected


@pytest.mark.usefixtures("here")
def test_an_interrupted_run_goes_on(
    tmp_path: Path, make_clip, half_new, request_for, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "in.mp4", half_new)
    segment_stream(request_for(clip, "one", mode="motion"))
    observe = KeyframePipeline._observe

    def broken(self: KeyframePipeline[Any], frame: Any) -> None:
        if frame.index == 33:
            raise KeyboardInterrupt
        observe(self, frame)

    monkeypatch.setattr(KeyframePipeline, "_observe", broken)
    folder = tmp_path / "parts"
    assert segment_many([request_for(clip, "parts", mode="motion")], Places(2)).exit_status == 130
    some = content(folder)
    assert len(some["times"]) == len((folder / "x.rle.jsonl").read_text().splitlines()) == 33
    assert (folder / ".x.parts").is_dir()
    monkeypatch.setattr(KeyframePipeline, "_observe", observe)
    with pytest.raises(StreamUsageError, match="give --resume to go on"):
        segment_many([request_for(clip, "parts", mode="motion")], Places(2))
    with pytest.raises(StreamUsageError, match="opacity was"):
        segment_many([request_for(clip, "parts", mode="motion", existing=Existing.RESUME, opacity=0.1)], Places(2))
    again = request_for(clip, "parts", mode="motion", existing=Existing.RESUME)
    assert segment_many([again], Places(1), stats_file=tmp_path / "s.json").exit_status == 0
    report = json.loads((tmp_path / "s.json").read_text())
    assert (report["frames"], report["resumed_after"]) == (48, 24)
    assert report["fps"] == pytest.approx(24 / report["wall_seconds"], rel=0.01), "of this run's frames"
    assert content(folder) == content(tmp_path / "one")
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_workers_agree_on_the_precision(tmp_path: Path) -> None:
    """Each finds another one faster; the first one's finding holds for all, also for a run that goes on."""

    class Finding:
        def __init__(self, precision: str) -> None:
            self.precision = precision

        def of(self, request: StreamRequest, _: tuple[int, int]) -> Any:
            precision = self.precision if request.precision == "auto" else request.precision
            return SimpleNamespace(precision=precision, runtime="torch")

    request, size_hw = StreamRequest(source="x.mp4", runtime="auto"), (64, 96)
    for found in ("bf16", "fp32"):
        assert Agreed(Finding(found), tmp_path).of(request, size_hw).precision == "bf16"
    given = StreamRequest(source="x.mp4", precision="fp32", runtime="torch")
    assert Agreed(Finding("bf16"), tmp_path).of(given, size_hw).precision == "fp32"
    assert [path.name for path in tmp_path.iterdir()] == ["runtime"]

"""Two runs that write the same names at the same time: files are of one run, whole, and nobody's are overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gopseg.codec import EncodeSettings
from gopseg.data import load_palette
from gopseg.files import TargetExistsError
from gopseg.preprocess import load_metadata
from gopseg.preprocess.clips.ar_seg_layout import ArSegClipJob
from gopseg.preprocess.clips.clip_job import ClipFiles, ScoredFrame
from gopseg.preprocess.clips.video_layout import VideoClipJob
from gopseg.preprocess.encode import EncodeJob
from gopseg.preprocess.extract.extract_job import ExtractJob
from gopseg.preprocess.jobs import Outcome, Outcomes, SequenceSource, sha256_of
from gopseg.preprocess.stills.still_job import LabelledStill, StillJob
from gopseg.preprocess.street.street_job import StreetJob
from tests.preprocess.stills.test_stills import write_scene

KINDS = ("encode", "extract", "video clip", "AR-Seg clip", "still", "street")
FAST = EncodeSettings(gop=4, bitrate_bps=1_000_000, preset="ultrafast", slots=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def two_jobs(
    make: Any, video: Path, corpus_video: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Two jobs of a kind that write the same files, but not the same bytes."""
    root = tmp_path_factory.mktemp("sources")
    make.folder(root / "frames", make.moving(8))
    write_scene(root, "scene", 1)
    images = tuple(sorted((root / "frames").iterdir()))
    clip = ClipFiles("c", "s", 0, images, (ScoredFrame(2, 2, "n", images[2]),), lambda _: None)  # type: ignore[arg-type,return-value]
    still = LabelledStill(root / "images" / "scene.png", root / "labels" / "scene.png", _read)
    labelled: dict[str, Any] = {
        "encoder": FAST,
        "frame_rate": Fraction(15),
        "seed": 0,
        "palette": load_palette("camvid"),
        "name": "v",
    }

    def make_jobs(kind: str, folder: Path) -> tuple[Any, Any]:
        folder.mkdir()
        if kind == "extract":
            return tuple(ExtractJob(corpus_video, folder / "v.npz", frozenset(arrays)) for arrays in ({"qp"}, ()))  # type: ignore[return-value]
        job: Any = {
            "encode": lambda: EncodeJob(SequenceSource("v", video), folder, FAST),
            "video clip": lambda: VideoClipJob(clip, folder, FAST, Fraction(15)),
            "AR-Seg clip": lambda: ArSegClipJob(clip, folder, FAST, Fraction(15), "test", False),
            "still": lambda: StillJob(still=still, variant=0, folder=folder, **labelled),
            "street": lambda: StreetJob(size_hw=(64, 96), first=0, count=6, folder=folder, **labelled),
        }[kind]()
        other = replace(FAST, bitrate_bps=300_000)
        return job, replace(job, **{"settings" if kind == "encode" else "encoder": other})

    return make_jobs


def _read(path: Path) -> Any:
    from gopseg.data.sample import read_labels

    return read_labels(path)


def interleaved(first: Any, second: Any) -> list[dict[str, bytes]]:
    """Run `first`, and in the middle of it the whole of `second`; what `second` had written."""
    seen: list[dict[str, bytes]] = []
    folder = getattr(first, "folder", first.output.parent)

    def on_frame() -> None:
        if not seen:
            second.run()
            seen.append({name: data for name, data in contents(folder).items() if ".part-" not in name})

    first.run(on_frame)
    return seen


def check_hash(job: Any) -> None:
    if job.output.suffix == ".mp4":
        account = json.loads(job.output.with_suffix(".json").read_text())
        assert account["sha256"] == sha256_of(job.output)
    elif job.output.suffix == ".npz":
        assert len(load_metadata(job.output)) == 40


@pytest.mark.parametrize("kind", KINDS)
def test_what_another_run_made_meanwhile_is_left_alone(two_jobs: Callable[..., Any], kind: str, tmp_path: Path) -> None:
    first, second = two_jobs(kind, tmp_path / "out")
    before = []
    with pytest.raises(TargetExistsError, match="appeared while it was being written, by another run"):
        before += interleaved(first.without_replacing(), second.without_replacing())
    after = contents(tmp_path / "out")
    assert after
    assert not [name for name in after if ".part-" in name]
    check_hash(second)
    assert second.is_finished()
    with pytest.raises(TargetExistsError):  # and at once, without working for nothing
        first.without_replacing().run(lambda: pytest.fail("work was started"))
    assert contents(tmp_path / "out") == after


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_run_that_may_replace_leaves_files_that_belong_together(
    two_jobs: Callable[..., Any], kind: str, tmp_path: Path
) -> None:
    first, second = two_jobs(kind, tmp_path / "out")
    (between,) = interleaved(first, second)
    after = contents(tmp_path / "out")
    assert after.keys() == between.keys()
    assert after != between
    assert first.is_finished()
    check_hash(first)


def test_two_commands_at_once(make: Any, tmp_path: Path) -> None:
    source = make.folder(tmp_path / "frames", make.moving(60))
    code = "from gopseg.preprocess.main import main; main()"
    command = [sys.executable, "-c", code, "encode", str(source), "-o", str(tmp_path / "out"), "--preset", "slow"]
    start = partial(subprocess.Popen, stderr=subprocess.PIPE, text=True)
    runs = [start([*command, "--gop", gop]) for gop in ("12", "10")]
    said = [run.communicate(timeout=120)[1] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2], said
    loser = next(text for run, text in zip(runs, said, strict=True) if run.returncode)
    assert loser.count("\n") == 1
    assert "appeared while it was being written, by another run" in loser or "exists; give -y" in loser
    account = json.loads((tmp_path / "out" / "frames.json").read_text())
    assert account["sha256"] == sha256_of(tmp_path / "out" / "frames.mp4")
    assert account["settings"]["gop"] == (12 if runs[0].returncode == 0 else 10)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frames.json", "frames.mp4"]


def test_what_another_run_made_meanwhile_is_no_failure_where_outputs_are_kept(
    two_jobs: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job, _ = two_jobs("encode", tmp_path / "out")
    error = TargetExistsError("v.mp4: appeared")
    for keeps, status in ((True, 0), (False, 2)):
        outcomes = Outcomes(1, str, keeps=keeps)
        outcomes(Outcome(job, error=error))
        if keeps:
            outcomes.finish()
            assert "was made by another run meanwhile, and is kept" in capsys.readouterr().err
        else:
            with pytest.raises(SystemExit) as end:
                outcomes.finish()
            assert end.value.code == status

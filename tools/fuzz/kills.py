"""`gopseg fuzz-kills`: runs killed at random moments leave whole files or none, and resume to equal bytes."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...console import Existing, command, existing_options, option
from ...errors import GopsegError, InputError
from ...files import whole_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMMANDS = ("encode", "extract", "labels")
"""`preprocess encode`, `preprocess extract` and `segment-stream --save labels`."""
_POLL_SECONDS = 0.005


class KillsError(GopsegError):
    """A command failed that was not killed."""


@dataclass
class Trials:
    """What came of killing one command: runs killed, runs that ended before, files seen after kills, and `findings`.

    `begin_seconds` and `end_seconds` are when a run that is left alone begins to write, and ends.
    """

    command: str
    begin_seconds: float
    end_seconds: float
    killed: int = 0
    ended: int = 0
    files: int = 0
    findings: list[str] = field(default_factory=list)


@command("fuzz-kills", interrupted="nothing is kept but the clips and outputs in the output folder.")
@option("--kills", type=click.IntRange(1), default=20, show_default=True, help="Kills per command.")
@option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed of the moments.")
@option("--sources", type=click.IntRange(1), default=3, show_default=True, help="Clips that each run works on.")
@option("--frames", type=click.IntRange(24), default=120, show_default=True, help="Frames per clip.")
@option(
    "--command",
    "commands",
    type=click.Choice(COMMANDS),
    multiple=True,
    default=COMMANDS,
    show_default=True,
    help="Command to kill; repeatable.",
)
@option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to work in.")
@existing_options()
def kills(
    kills: int, seed: int, sources: int, frames: int, commands: Sequence[str], output: Path, existing: Existing
) -> None:
    """Kill `preprocess encode`, `preprocess extract` and `segment-stream --save labels` again and again, and resume.

    Each run resumes the one before with --resume, and is killed with SIGKILL at a random moment between its first file
    and its end. After that, every file under a final name must be complete: identical to that of an undisturbed run.
    When a run ends by itself, all files must be there and identical, with no hidden files left; the next one then
    starts from nothing. Anything else is a finding, and the exit status is then 1. A summary is printed and saved in
    summary.json.
    """
    summary = output / "summary.json"
    if summary.exists() and existing is Existing.KEEP:
        click.echo(f"{summary}: is there already and is kept.", err=True)
        return
    if summary.exists() and existing is Existing.REFUSE:
        raise InputError(f"{summary}: exists; give -y to replace it, or another folder by -o")
    output.mkdir(parents=True, exist_ok=True)
    clips = _clips(output.resolve() / "clips", sources, frames)
    found = []
    for name in commands:
        trials = _kill(name, clips, output / name, kills, random.Random(f"{seed} {name}"))
        found.append(trials)
        with whole_file(summary) as part:
            part.write_text(json.dumps([asdict(trials) for trials in found], indent=2) + "\n")
        click.echo(
            f"{trials.command}: {trials.killed} runs killed, {trials.ended} ended before, {trials.files} files seen "
            f"under final names, {len(trials.findings)} findings"
        )
        for finding in trials.findings:
            click.echo(f"  {finding}")
    if any(trials.findings for trials in found):
        raise SystemExit(1)


def _clips(folder: Path, sources: int, frames: int) -> list[Path]:
    """Cameras that move over textures, 320x240 at 25 frames a second."""
    from fractions import Fraction

    from ...codec import EncodeSettings, pictures_of_images, transcode

    folder.mkdir(exist_ok=True)
    paths = [folder / f"clip{number}.mp4" for number in range(sources)]
    for number, path in enumerate(paths):
        images = _moving(number, frames)
        pictures = pictures_of_images(images, path.name, Fraction(25), frames)
        transcode(pictures, path, EncodeSettings(bitrate_bps=1_500_000, preset="veryfast"))
    return paths


def _moving(seed: int, frames: int) -> Iterator[NDArray[np.uint8]]:
    import cv2
    import numpy as np

    noise = np.random.default_rng(seed).normal(0, 1, (240 + frames, 320 + 2 * frames, 3))
    noise = cv2.GaussianBlur(noise, (0, 0), 2.0)
    world = np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)
    for index in range(frames):
        yield np.ascontiguousarray(world[index : index + 240, 2 * index : 2 * index + 320])


def _command(name: str, clips: Sequence[Path]) -> list[str]:
    """What is run, with outputs in the working directory: outputs may tell where they were meant to be."""
    run = [sys.executable, "-m", "gopseg"]
    if name == "encode":
        return [*run, "preprocess", "encode", *map(str, clips), "-o", ".", "--preset", "slow", "--resume"]
    if name == "extract":
        target = "." if len(clips) > 1 else f"{clips[0].stem}.npz"
        return [*run, "preprocess", "extract", *map(str, clips), "-o", target, "--resume"]
    words = ["--save", "labels", "--mode", "motion", "--device", "cpu", "--precision", "fp32", "--resume"]
    return [*run, "segment", str(clips[0]), *words, "-o", "clip.mp4"]


def _kill(name: str, clips: Sequence[Path], folder: Path, kills: int, rng: random.Random) -> Trials:
    folder.mkdir(exist_ok=True)
    words = _command(name, clips)
    begin, end = _watch(words, _fresh(folder / "whole"))
    expected = _visible(folder / "whole")
    trials = Trials(name, round(begin, 2), round(end, 2))
    target = _fresh(folder / "killed")
    while trials.killed < kills:
        start = time.monotonic()
        if _killed_after(rng.uniform(begin, end), words, target):
            trials.killed += 1
            trials.files += _compare(trials, expected, target, f"kill {trials.killed}")
        else:
            trials.ended += 1
            seconds = time.monotonic() - start  # the machine may be less busy than it was
            begin, end = begin * seconds / end, seconds
            target = _finish(trials, expected, target)
    _watch(words, target)
    _finish(trials, expected, target)
    return trials


def _watch(words: Sequence[str], folder: Path) -> tuple[float, float]:
    """Run to the end; the seconds until the first file and until the end. KillsError if it fails."""
    start, begin = time.monotonic(), None
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        if begin is None and any(folder.iterdir()):
            begin = time.monotonic() - start
        time.sleep(_POLL_SECONDS)
    end = time.monotonic() - start
    if process.returncode:
        said = process.communicate()[1].strip().splitlines()
        raise KillsError(f"{' '.join(words)}: failed with {process.returncode} ({said[-1] if said else 'no word'})")
    process.communicate()
    return end if begin is None else begin, end


def _killed_after(seconds: float, words: Sequence[str], folder: Path) -> bool:
    """Whether the run was killed; False where it ended before. KillsError where it failed by itself."""
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        said = process.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode:
        raise KillsError(f"{' '.join(words)}: failed with {process.returncode} ({said.strip().splitlines()[-1:]})")
    return False


def _finish(trials: Trials, expected: Mapping[str, bytes], folder: Path) -> Path:
    """Check the outputs of a run that ended, and begin again from nothing."""
    _compare(trials, expected, folder, "after the last run")
    trials.findings += [f"after the last run: {name} is missing" for name in expected.keys() - _visible(folder).keys()]
    hidden = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    trials.findings += [f"after the last run: {name} is left" for name in hidden]
    return _fresh(folder)


def _compare(trials: Trials, expected: Mapping[str, bytes], folder: Path, when: str) -> int:
    """Note files that are not as they must be; returns how many files there are under final names."""
    found = _visible(folder)
    for name, data in found.items():
        if name not in expected:
            trials.findings.append(f"{when}: {name} should not be there")
        elif data != expected[name]:
            trials.findings.append(f"{when}: {name} has {len(data)} other bytes than the {len(expected[name])} due")
    return len(found)


def _visible(folder: Path) -> dict[str, bytes]:
    """All files under final names, by their path in the folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path: path.relative_to(folder) for path in files}
    return {
        str(name): path.read_bytes() for path, name in names.items() if not any(p.startswith(".") for p in name.parts)
    }


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder

"""Where pictures become RGB: beside the network, counted, and only those that something looks at."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from gopseg.codec.reading.colour import RgbConverter
from gopseg.pipelines import MODES


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of the thread of every conversion to RGB."""
    threads: list[str] = []
    convert = RgbConverter.convert

    def counting(self: RgbConverter, *arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return convert(self, *arguments)

    monkeypatch.setattr(RgbConverter, "convert", counting)
    return threads


@pytest.mark.parametrize(
    ("arguments", "count"),
    [(("--mode", "frame"), 12), (("--mode", "flow", "--flow-source", "dis"), 12), (("--mode", "motion"), 2)],
    ids=str,
)
@pytest.mark.parametrize("save", ["overlay", "labels"])
def test_pictures_become_rgb_in_the_readers_thread(
    stream: Any, tmp_path: Path, square_clip: Path, converted: list[str], arguments: Any, count: int, save: str
) -> None:
    result = stream(square_clip, *arguments, "--save", save, "-o", "x.mp4", "--stats", "s.json")
    assert result.exit_code == 0, result.stderr
    assert converted == ["reader"] * count
    stages = json.loads((tmp_path / "s.json").read_text())["stages_ms"]
    assert stages["rgb"]["frames"] == count
    assert stages["read"]["frames"] == 12


def test_a_look_that_nobody_foresaw_is_counted(
    stream: Any, tmp_path: Path, square_clip: Path, converted: list[str]
) -> None:
    arguments = "--mode", "motion", "--interval", "4", "--save", "labels", "-o", "x.mp4", "--stats", "s.json"
    assert stream(square_clip, *arguments).exit_code == 0
    stats = json.loads((tmp_path / "s.json").read_text())
    assert stats["network_frames"] == 4  # frames 0, 4, 6 (a keyframe) and 10
    assert len(converted) == 4
    assert converted.count("reader") == 2
    assert stats["stages_ms"]["rgb"]["frames"] == 4


@pytest.mark.parametrize("mode", ["frame", "lr", "motion", "flow", "ar", "guided"])
def test_which_modes_look_at_every_picture(runner: Any, mode: str) -> None:
    assert MODES[mode].pipeline(runner).needs_pictures == (mode != "motion")

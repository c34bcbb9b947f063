"""`StreamStats`: how long each stage took and what the frames were, in memory that does not grow."""

from __future__ import annotations

import json
import random
import statistics
import threading
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...console import counted
from ...files import whole_file
from ..errors import OutputError
from ..prediction import Prediction

_SAMPLE = 4096
_COUNTS = ("frames", "network_frames", "dropped_frames")


class _Stage:
    """The mean of all values and the median of a uniform sample of them (reservoir sampling, Vitter 1985)."""

    def __init__(self) -> None:
        self.count, self.total = 0, 0.0
        self._sample: list[float] = []
        self._random = random.Random(0)

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        if len(self._sample) < _SAMPLE:
            self._sample.append(value)
        elif (place := self._random.randrange(self.count)) < _SAMPLE:
            self._sample[place] = value

    def merge(self, count: int, total: float, sample: list[float]) -> None:
        """Take in another's values: where both samples do not fit, each gives its share."""
        both = self.count + count
        if len(self._sample) + len(sample) > _SAMPLE:
            mine = round(_SAMPLE * self.count / both)
            self._sample = self._random.sample(self._sample, min(mine, len(self._sample)))
            sample = self._random.sample(sample, min(_SAMPLE - len(self._sample), len(sample)))
        self._sample += sample
        self.count, self.total = both, self.total + total

    def state(self) -> tuple[int, float, list[float]]:
        """What `merge` takes; JSON can hold it."""
        return self.count, self.total, [round(value, 3) for value in self._sample]

    def summary(self) -> dict[str, float | int]:
        return {
            "median": round(statistics.median(self._sample), 3),
            "mean": round(self.total / self.count, 3),
            "frames": self.count,
        }


class StreamStats:
    """Collects timings from any thread.

    Stages overlap, so their milliseconds add up to more than 1000 / fps.
    """

    def __init__(self) -> None:
        self._stages: dict[str, _Stage] = {}
        self._lock = threading.Lock()
        self.pict_types: Counter[str] = Counter()
        self.frames = 0
        self.network_frames = 0
        self._by_network, self._expected = array("b"), array("f")
        self.dropped_frames = 0

    def add(self, stage: str, milliseconds: float) -> None:
        """One frame's time in one stage."""
        with self._lock:
            self._stage(stage).add(milliseconds)

    def count(self, prediction: Prediction) -> None:
        """Note a predicted frame: its type, its source, and its stages' times."""
        self.frames += 1
        self.pict_types[prediction.pict_type] += 1
        self.network_frames += prediction.from_network
        self._by_network.append(prediction.from_network)
        if prediction.expected_agreement is not None:
            self._expected.append(prediction.expected_agreement)
        for stage, milliseconds in prediction.timings.items():
            self.add(stage, milliseconds)

    @property
    def expected_agreement(self) -> float | None:
        """The mean over frames of what mode auto expects of its labels, None in other modes."""
        return sum(self._expected) / len(self._expected) if self._expected else None

    def state(self) -> dict[str, Any]:
        """All figures, for `merge`; JSON can hold them."""
        with self._lock:
            stages = {name: stage.state() for name, stage in self._stages.items()}
        counts = {name: getattr(self, name) for name in _COUNTS}
        frames = {"by_network": self._by_network.tolist(), "expected": self._expected.tolist()}
        return {**counts, **frames, "pict_types": dict(self.pict_types), "stages": stages}

    def merge(self, state: dict[str, Any]) -> None:
        """Add what another part of the stream counted, a `state`."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + state[name])
        self.pict_types.update(state["pict_types"])
        self._by_network.extend(state["by_network"])
        self._expected.extend(state["expected"])
        for name, (count, total, sample) in state["stages"].items():
            self._stage(name).merge(count, total, list(sample))

    def _stage(self, name: str) -> _Stage:
        if name not in self._stages:
            self._stages[name] = _Stage()
        return self._stages[name]

    def report(self, wall_seconds: float) -> dict[str, Any]:
        """Figures for a JSON file; `fps` is frames over the whole time, reading and writing included."""
        with self._lock:
            stages = {name: stage.summary() for name, stage in self._stages.items()}
        expected: dict[str, Any] = {}
        if self.expected_agreement is not None:
            expected = {
                "expected_agreement": round(self.expected_agreement, 4),
                "expected_agreement_by_frame": [round(share, 4) for share in self._expected],
            }
        return {
            "frames": self.frames,
            "fps": round(self.frames / wall_seconds, 3) if wall_seconds > 0 else 0.0,
            "wall_seconds": round(wall_seconds, 3),
            "network_frames": self.network_frames,
            "network_by_frame": self._by_network.tolist(),
            **expected,
            "dropped_frames": self.dropped_frames,
            "pict_types": dict(self.pict_types),
            "stages_ms": stages,
        }


def last_line(how: str, report: Mapping[str, Any], files: Sequence[Path]) -> str:
    """What a run says at the end: `how` it ended, what its statistics (`--stats`) say in short, and the files, if any
    are left."""
    expected = report.get("expected_agreement")
    words = [
        f"{how} {counted(report['frames'], 'frame')}",
        f"mode {report['mode']}",
        f"network on {report['network_frames']} of {counted(report['frames'], 'frame')}",
        *([] if expected is None else [f"expected agreement {100 * expected:.1f} %"]),
        f"{report['fps']:.1f} frames/s",
        *([counted(report["parts"], "part")] if "parts" in report else []),
    ]
    return f"{', '.join(words)} -> {', '.join(map(str, files)) or 'nothing is left'}"


def peak_memory_mib() -> float | None:
    """The most memory that this process has held at once, in MiB; None where the system does not tell (not Linux)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
    return round(peaks[0], 1) if peaks else None


def write_statistics(file: Path, report: dict[str, Any]) -> None:
    """Write the file of `--stats`, the last thing that a run does; OutputError where that cannot be done."""
    try:
        with whole_file(file) as part:
            part.write_text(json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise OutputError(
            f"'{file}' cannot be written: {error.strerror}; the labels are there, only the statistics are missing"
        ) from error

"""Rows of `segment-stream` in every mode."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ....console import Existing
from ....errors import GopsegError
from ....pipelines import MODES, Precision, Runners, StreamRequest, segment_stream
from ....segnet import Runtime
from .rows import Row, Took

BETWEEN = "between keyframes"
_LOOKS_AT_EACH = ("frame", "lr", "clip")


@dataclass(frozen=True)
class Streams:
    """Runs of `segment-stream` on one video, whose networks are loaded once; `folder` is for what they write."""

    video: Path
    folder: Path
    model: str
    device: str
    precision: Precision
    runtime: Runtime
    runners: Runners
    computed: set[str] = field(default_factory=set)
    """What computed the network: runtime and precision."""

    def rows(self, most: int) -> Iterator[Row]:
        """A row for each mode with label images, one with an overlay; and for what mode motion takes between keyframes,
        the network's time and frames left out, one with each."""

        def row(name: str, least: int, *given: Any) -> Row:
            return Row(name, partial(self._run, *given), min(most, least), most, are_threads=True)

        for mode in MODES:
            yield row(f"mode {mode}", 2 if mode in _LOOKS_AT_EACH else 12, mode, "labels", {}, False)
        yield row("mode motion, overlay", 12, "motion", "overlay", {}, False)
        for kind in ("labels", "overlay"):
            yield row(f"{BETWEEN}, {kind}", 12, "motion", kind, {"refresh_above": 1.0}, True)

    def _run(self, mode: str, kind: str, options: Mapping[str, Any], between: bool, frames: int) -> Took:
        file = self.folder / "run.json"
        request = StreamRequest(
            source=str(self.video),
            output=self.folder / "run.mp4",
            mode=mode,
            model=self.model,
            device=self.device,
            precision=self.precision,
            runtime=self.runtime,
            max_frames=frames,
            save=(kind,),
            options=options,
            stats_file=file,
            existing=Existing.REPLACE,
            quiet=True,
        )
        cpu: list[float] = []
        segment_stream(request, lambda: cpu.append(time.process_time()), self.runners)
        cpu.append(time.process_time())
        found: dict[str, Any] = json.loads(file.read_text())
        self.computed.add(f"{found['runtime']} in {found['precision']}")
        stages = {name: each["mean"] * each["frames"] for name, each in found["stages_ms"].items()}
        labelled, seen = found["frames"], found["network_frames"]
        if not between:
            cpu_seconds = found["cpu_ms_per_frame"] * labelled / 1e3
            return Took(labelled, found["wall_seconds"], cpu_seconds, stages, seen)
        if labelled == seen:
            raise GopsegError("the network sees all of its frames; take a video with fewer keyframes")
        seconds = found["wall_seconds"] - stages.pop("network") / 1e3
        per_frame = (cpu[-1] - cpu[0]) / max(1, len(cpu) - 2)  # from the first frame on, which the network sees
        return Took(labelled - seen, seconds, per_frame * (labelled - seen), stages, 0)

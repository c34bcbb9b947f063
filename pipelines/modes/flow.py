"""Mode `flow`: as motion, along optical flow."""

from __future__ import annotations

from dataclasses import dataclass

from .mode import Mode
from .motion import MotionOptions, reads
from .options import flow_source, interval_runs_on, refresh_above


@dataclass(frozen=True, kw_only=True)
class FlowOptions(MotionOptions):
    """The options of mode flow: those of mode motion with other defaults."""

    flow_source: str = flow_source("dis")
    refresh_above: float = refresh_above(0.6)


FLOW = Mode(
    name="flow",
    help="as motion, along optical flow",
    options=FlowOptions,
    reads=reads,
    remembers=interval_runs_on,
    build="gopseg.pipelines.modes.building:build_maps",
)

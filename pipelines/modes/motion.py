"""Mode `motion`: the network on keyframes, carried along motion vectors between them."""

from __future__ import annotations

from dataclasses import dataclass

from ..motion import CODEC
from .mode import CodecReads, Mode
from .options import Carry, Keyframes, KeyframeScale, flow_source, interval_runs_on, refresh_above


@dataclass(frozen=True, kw_only=True)
class MotionOptions(Carry, KeyframeScale, Keyframes):
    """The options of mode motion."""

    flow_source: str = flow_source(CODEC)
    refresh_above: float = refresh_above(0.29)


def reads(options: MotionOptions) -> CodecReads:
    """The codec's motion, unless it comes from elsewhere."""
    return CodecReads(motion=options.flow_source == CODEC)


MOTION = Mode(
    name="motion",
    help="the network on keyframes, its result carried along motion vectors between them",
    options=MotionOptions,
    reads=reads,
    remembers=interval_runs_on,
    build="gopseg.pipelines.modes.building:build_maps",
)

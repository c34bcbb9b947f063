"""Mode `guided`: as motion, repaired by a small trained head (GSVNet: Lee et al., ICME 2021; SwNet-seq)."""

from __future__ import annotations

from dataclasses import dataclass

from ..motion import CODEC
from .mode import BranchWeights, CodecReads, Mode
from .options import HeadWeights, Keyframes, KeyframeScale, flow_source, interval_runs_on, refresh_above


@dataclass(frozen=True, kw_only=True)
class GuidedOptions(HeadWeights, KeyframeScale, Keyframes):
    """The options of mode guided. `flow_source` may also be the name alone of a flow network that the head's file
    holds ("light")."""

    flow_source: str | None = flow_source(None, default_help="what its head was trained with")
    refresh_above: float = refresh_above(0.29)


def reads(options: GuidedOptions) -> CodecReads:
    """The codec's motion, unless it is sure to come from elsewhere."""
    return CodecReads(motion=options.flow_source in (None, "", CODEC))


GUIDED = Mode(
    name="guided",
    help="as motion, corrected by a small trained head",
    options=GuidedOptions,
    reads=reads,
    remembers=interval_runs_on,
    weights=(BranchWeights("guided", file="guided_weights"),),
    build="gopseg.pipelines.modes.building:build_guided",
)

"""Mode `ar`: altering resolution, a branch that sees shrunken frames, fused with what the keyframe said (AR-Seg: Hu et
al., CVPR 2023)."""

from __future__ import annotations

from dataclasses import dataclass

from ..motion import CODEC
from .mode import BranchWeights, CodecReads, Mode
from .options import Keyframes, LowResolution, flow_source, interval_runs_on, refresh_above


@dataclass(frozen=True, kw_only=True)
class AlteringOptions(LowResolution, Keyframes):
    """The options of mode ar. Its branch was trained on codec motion; as it sees every frame itself, the HR network
    sees another only where most of the motion is lost."""

    flow_source: str = flow_source(CODEC)
    refresh_above: float = refresh_above(0.6)


def reads(options: AlteringOptions) -> CodecReads:
    """The codec's motion, unless it comes from elsewhere."""
    return CodecReads(motion=options.flow_source == CODEC)


AR = Mode(
    name="ar",
    help="as motion, fused between keyframes with a branch that sees shrunken frames",
    options=AlteringOptions,
    reads=reads,
    remembers=interval_runs_on,
    weights=(BranchWeights("ar", scale="lr_scale"),),
    build="gopseg.pipelines.modes.building:build_ar",
)

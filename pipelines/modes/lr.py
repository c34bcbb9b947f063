"""Mode `lr`: the LR branch alone on every frame, to compare AR with."""

from __future__ import annotations

from .mode import BranchWeights, Mode
from .options import LowResolution

LR = Mode(
    name="lr",
    help="only the low-resolution branch of mode ar, on every frame",
    options=LowResolution,
    weights=(BranchWeights("lr", scale="lr_scale", also=("ar",)),),
    build="gopseg.pipelines.modes.building:build_lr",
)

"""Mode `frame`: the network on every frame."""

from __future__ import annotations

from .mode import Mode
from .options import Options

FRAME = Mode(
    name="frame",
    help="the network on every frame",
    options=Options,
    build="gopseg.pipelines.modes.building:build_frame",
)

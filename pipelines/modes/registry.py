"""The modes there are, by name."""

from __future__ import annotations

from .ar import AR
from .clip import CLIP
from .flow import FLOW
from .frame import FRAME
from .guided import GUIDED
from .lr import LR
from .mode import AnyMode
from .motion import MOTION

MODES: dict[str, AnyMode] = {mode.name: mode for mode in (FRAME, LR, MOTION, AR, CLIP, FLOW, GUIDED)}
AUTO = "auto"
"""Mode motion wherever the stream or `--reencode` allows it, else frame."""

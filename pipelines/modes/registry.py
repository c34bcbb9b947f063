"""The modes there are, by name."""

from __future__ import annotations

from .ar import AR
from .auto import AUTO_MODE
from .clip import CLIP
from .flow import FLOW
from .frame import FRAME
from .guided import GUIDED
from .lr import LR
from .mode import AnyMode
from .motion import MOTION

MODES: dict[str, AnyMode] = {mode.name: mode for mode in (FRAME, LR, MOTION, AR, CLIP, FLOW, GUIDED, AUTO_MODE)}
AUTO = AUTO_MODE.name
"""The default; mode frame stands in for it where neither the stream nor `--reencode` allows motion."""

"""Compiled loops of labels: scores, carried along motion or not, are looked at only where labels depend on them.

Import it through `Loops`. Numbers are unsigned where they index, for Numba would else look for negative ones.
"""

from __future__ import annotations

from .cell_loops import LANES as LANES
from .cell_loops import find_places as find_places
from .cell_loops import look_up as look_up
from .cell_loops import mix as mix
from .cell_loops import sample as sample
from .cell_loops import settle as settle
from .quad_loops import draw as draw
from .quad_loops import fill as fill
from .quad_loops import keep as keep

"""Importing this before torch makes OpenMP's idle threads sleep instead of spin (unless OMP_WAIT_POLICY says else).

Torch's threads would otherwise spin after every layer on the cores that the reader and the writer need. With one other
busy process on two cores, SwiftNet-R18 at 480x360 took 0.44 s so, and more than 4 s with spinning threads.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

"""Matching by NumPy and OpenCV, and by compiled loops."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gopseg.codec.motion.matching import prediction, tracing
from gopseg.compiled import Loops


@pytest.fixture(scope="module", params=["never", "now"])
def each_way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Everything in a module that uses it twice: without compiled loops, and with them."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "now" and not (prediction.LOOPS.wait() and tracing.WAY_LOOPS.wait()):
            pytest.skip("numba is not installed (extra fast)")
        patch.setattr(Loops, "when", request.param)
        yield request.param

"""Softmax and its lead: by their definitions, and the same bits by compiled loops."""

from __future__ import annotations

import numpy as np
import pytest

from gopseg.compiled import Loops
from gopseg.pipelines.scores import certainty, probabilities
from gopseg.pipelines.scores.softmax import LOOPS


def test_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loops, "when", "never")
    scores = np.log(np.array([[[1, 2, 5], [4, 4, 2]]], np.float32))
    np.testing.assert_allclose(probabilities(scores), [[[1 / 8, 2 / 8, 5 / 8], [0.4, 0.4, 0.2]]], rtol=1e-6)
    best, lead = certainty(scores)
    assert best.tolist() == [[2, 0]]
    np.testing.assert_allclose(lead, [[3 / 8, 0]], atol=1e-6)
    best, lead = certainty(scores[..., :1])
    assert (best.tolist(), lead.tolist()) == ([[0, 0]], [[1, 1]])


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("classes", [1, 2, 7, 8, 11, 12, 16, 19, 35, 128, 150])
def test_the_same_bits(classes: int, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if not LOOPS.wait():
        pytest.skip("numba is not installed (extra fast)")
    rng = np.random.default_rng(classes)
    scores = (rng.standard_normal((31, 43, classes)) * 6).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = 3
    scores = scores[step // 2 :: step, step // 2 :: step]
    found = []
    for when in ("never", "now"):
        monkeypatch.setattr(Loops, "when", when)
        found.append((probabilities(scores), *certainty(scores)))
    for one, other in zip(*found, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()

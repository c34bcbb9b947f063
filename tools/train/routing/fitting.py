"""Fitting the router's predictor: logistic regression over cells, then a calibration of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....pipelines import Predictor
from .gathering import CarriedFrames

STEPS = 25
LEAST_LENGTH = 1e-4
RIDGE = 1e-4


def fit_predictor(videos: Sequence[CarriedFrames], ridge: float = RIDGE) -> Predictor:
    """The predictor that fits the videos' cells best, each video counting the same.

    By Newton's method on the logistic loss with a penalty of `ridge` on squared weights of features of unit deviation.
    The frames' line is a Poisson regression of the wrong shares on the logarithm of the cells' mean, so that what is
    expected of all frames together is what was wrong.
    """
    x = np.concatenate([video.features for video in videos]).astype(np.float64)
    y = np.concatenate([video.wrong for video in videos]).astype(np.float64)
    share = np.concatenate([np.full(len(video.wrong), 1 / max(1, len(video.wrong))) for video in videos])
    share /= share.sum()
    scale = x.std(0)
    scale[scale == 0] = 1
    penalty = np.full(x.shape[1], ridge)
    penalty[0] = 0
    weights = logistic(x / scale, y, share, penalty) / scale
    cells = Predictor(weights.astype(np.float32))
    means = [frame_means(cells, video) for video in videos]
    of_frame = np.concatenate([np.full(len(mean), 1 / max(1, len(mean))) for mean in means])
    offset, slope = poisson_line(
        np.log(np.concatenate(means)), np.concatenate([video.frame_wrong for video in videos]), of_frame
    )
    return Predictor(cells.weights, offset, slope)


def logistic(
    x: NDArray[np.float64], y: NDArray[np.float64], share: NDArray[np.float64], penalty: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights of the columns of `x` (n, k) for the logit of `y` (n,), 0 to 1; `share` (n,) is each row's part."""
    weights = np.zeros(x.shape[1])
    mean = float(np.clip((share * y).sum(), 1e-6, 1 - 1e-6))
    weights[0] = np.log(mean / (1 - mean)) / max(1e-9, float(x[:, 0].mean()))

    def loss_of(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        return float(share @ (np.logaddexp(0, scores) - y * scores) + penalty @ np.square(weights) / 2)

    scores = x @ weights
    loss = loss_of(scores, weights)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-scores))
        slope = x.T @ (share * (p - y)) + penalty * weights
        curvature = (x * (share * p * (1 - p))[:, None]).T @ x + np.diag(penalty + 1e-12)
        step = np.linalg.solve(curvature, slope)
        along, length = x @ step, 1.0
        while (less := loss_of(scores - length * along, weights - length * step)) > loss and length > LEAST_LENGTH:
            length /= 2  # far from the best, where cells are sure, Newton's step leads too far
        weights, scores = weights - length * step, scores - length * along
        if loss - less < 1e-9:
            break
        loss = less
    return weights


def poisson_line(x: NDArray[np.float64], y: NDArray[np.float64], share: NDArray[np.float64]) -> tuple[float, float]:
    """a and b of y = exp(a + b x), fitted with weights `share` so that both sides have the same sum."""
    a, b = 0.0, 1.0
    for _ in range(STEPS):
        mean = np.exp(np.clip(a + b * x, -20, 2))
        design = np.stack([np.ones_like(x), x])
        slope = design @ (share * (y - mean))
        curvature = (design * (share * mean)) @ design.T + 1e-9 * np.eye(2)
        move = np.linalg.solve(curvature, slope)
        a, b = a + float(np.clip(move[0], -1, 1)), b + float(np.clip(move[1], -1, 1))
    return a, b


def frame_means(predictor: Predictor, video: CarriedFrames) -> NDArray[np.float64]:
    """The mean of the cells' probabilities in each carried frame."""
    cells = 1 / (1 + np.exp(-(video.features @ predictor.weights).astype(np.float64)))
    sums = np.bincount(video.frame, cells, len(video.frame_wrong))
    return np.maximum(sums / np.maximum(1, np.bincount(video.frame, minlength=len(video.frame_wrong))), 1e-4)


def score_predictor(predictor: Predictor, video: CarriedFrames) -> dict[str, Any]:
    """How well a video's frames are foreseen: mean wrong and expected shares, their mean distance and correlation."""
    expected = np.exp(predictor.offset + predictor.slope * np.log(frame_means(predictor, video)))
    wrong = video.frame_wrong
    known = len(wrong) > 2 and wrong.std() > 0 and expected.std() > 0
    return {
        "video": video.name,
        "frames": len(wrong),
        "wrong": round(float(wrong.mean()), 4) if len(wrong) else None,
        "expected": round(float(expected.mean()), 4) if len(wrong) else None,
        "off_by": round(float(np.abs(expected - wrong).mean()), 4) if len(wrong) else None,
        "correlation": round(float(np.corrcoef(expected, wrong)[0, 1]), 3) if known else None,
    }

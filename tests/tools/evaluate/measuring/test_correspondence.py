"""Pixels' counterparts in the frame before, on content whose motion is known."""

import cv2
import numpy as np
import torch

from gopseg.codec.frame import Frame, MotionVectors
from gopseg.codec.reading.sidedata import VECTOR_DTYPE
from gopseg.data.datasets.sequences import LabelledSequence
from gopseg.tools.evaluate.measuring.correspondence import FlowMatcher, PairMotion, follow_codec, match_by_codec

SIZE = (96, 128)


def textured(seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (SIZE[0], SIZE[1] + 32, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def moved(match):
    """Median displacement (dx, dy) that a match gives in the picture's middle."""
    rows, columns = np.divmod(match, SIZE[1])
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    middle = (slice(20, -20), slice(20, -20))
    known = match[middle] >= 0
    return np.median((columns - x)[middle][known]), np.median((rows - y)[middle][known]), known.mean()


def test_flow_finds_a_shift_and_keeps_the_match(tmp_path):
    wide = textured()
    for i in range(2):
        cv2.imwrite(str(tmp_path / f"{i}.png"), wide[:, 4 * i : 4 * i + SIZE[1]])
    images = (tmp_path / "0.png", tmp_path / "1.png")
    matcher = FlowMatcher(LabelledSequence("s", images, {}, lambda path: None, {}))
    key = Frame(0, 0, 1, "I", True, 0, SIZE)
    motion = matcher(1, key)
    match = motion.match
    dx, dy, covered = moved(match)
    # The content of frame 1 stood 4 pixels further right in frame 0.
    assert (dx, dy) == (4, 0)
    assert covered > 0.9
    assert matcher(1, key).match is match
    # The flow of the frame before to this one leads the other way, and keyframes have no vectors.
    assert np.median(motion.onward[20:-20, 20:-20], (0, 1)).round().tolist() == [-4, 0]
    assert motion.by_codec is None


def test_any_flow_can_be_followed(tmp_path):
    """It is asked in both directions, with RGB frames as they are stored."""
    for i in range(2):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((*SIZE, 3), (10, 20, 30 + i), np.uint8))
    images = (tmp_path / "0.png", tmp_path / "1.png")

    def flow(first, second):
        assert first.shape == (1, *SIZE, 3)
        sign = int(second[0, 0, 0, 0]) - int(first[0, 0, 0, 0])
        return torch.tensor([3.0, -1.0]).mul(sign).expand(1, *SIZE, 2)

    motion = FlowMatcher(LabelledSequence("s", images, {}, lambda path: None, {}), flow)(
        1, Frame(0, 0, 1, "I", True, 0, SIZE)
    )
    assert moved(motion.match)[:2] == (-3, 1)
    assert motion.onward[5, 5].tolist() == [3, -1]


def test_the_codecs_match_follows_its_vectors():
    y, x = np.mgrid[8 : SIZE[0] : 16, 8 : SIZE[1] : 16]
    array = np.zeros(x.size, VECTOR_DTYPE)
    array["source"], array["w"], array["h"], array["motion_scale"] = -1, 16, 16, 4
    array["dst_x"], array["dst_y"] = x.ravel(), y.ravel()
    array["motion_x"], array["motion_y"] = 4 * 8, 4 * -4
    frame = Frame(1, 1, 1, "P", False, 1, SIZE, motion=MotionVectors(array, SIZE))
    assert moved(match_by_codec(frame))[:2] == (8, -4)
    key = Frame(0, 0, 1, "I", True, 0, SIZE)
    assert match_by_codec(key) is None
    assert follow_codec(0, key) == PairMotion()
    followed = follow_codec(1, frame)
    assert followed.match is followed.by_codec

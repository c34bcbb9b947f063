"""What H.264 does to a picture, for augmentation: the image as a P-frame after a shifted copy of itself."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

QUANTISERS = (26, 42)
"""Range of x264's constant quantiser: about 3 Mb/s to 300 kb/s for street video of 480x360 at 15 frames a second."""

LARGEST_SHIFT = 6.0
"""Pixels that the reference frame is moved by, at most, along each side."""


def coded_with_h264(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """`image` (H, W, 3) uint8 RGB as a decoder shows it after lossy coding, half the time as an I-frame, else as a
    P-frame predicted from itself moved by a random amount. The quantiser is drawn from QUANTISERS.

    Everything is a function of the image and of `rng`'s state. An odd last row or column is repeated for the codec.
    """
    height, width = image.shape[:2]
    whole = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    frames = [whole]
    quantiser = int(rng.integers(QUANTISERS[0], QUANTISERS[1] + 1))
    if rng.random() < 0.5:
        dx, dy = rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 2)
        move = np.array([[1, 0, dx], [0, 1, dy]])
        moved = cv2.warpAffine(whole, move, (whole.shape[1], whole.shape[0]), borderMode=cv2.BORDER_REPLICATE)
        frames.insert(0, np.asarray(moved, np.uint8))
    return np.ascontiguousarray(decoded_last(frames, quantiser)[:height, :width])


def decoded_last(frames: list[NDArray[np.uint8]], quantiser: int) -> NDArray[np.uint8]:
    """The last of some frames (H, W, 3) of even size, after an H.264 encoder (IPPP, constant quantiser) and decoder."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.height, encoder.width = frames[0].shape[:2]
    encoder.pix_fmt, encoder.framerate, encoder.thread_count = "yuv420p", Fraction(15), 1
    encoder.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "qp": str(quantiser),
        "x264-params": "ref=1:weightp=0",
    }
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    pictures: list[av.VideoFrame] = []
    for frame in frames:
        for packet in encoder.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
            pictures += decoder.decode(packet)
    for packet in encoder.encode(None):
        pictures += decoder.decode(packet)
    pictures += decoder.decode(None)
    return np.asarray(pictures[-1].to_ndarray(format="rgb24"), np.uint8)

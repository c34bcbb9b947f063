"""`Comparison`: PSNR and SSIM of decoded pictures against what they were encoded from."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

PLANES = ("y", "u", "v")


class Comparison:
    """Compares yuv420p pictures of `size_hw` pairwise, by FFmpeg's `psnr` and `ssim` filters.

    `ssim` there is x264's: luma, windows of 8x8 pixels every 4 (after Wang et al. 2004).
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        height, width = size_hw
        text = f"video_size={width}x{height}:pix_fmt=yuv420p:time_base=1/1:pixel_aspect=1/1"
        graph = Graph()
        self._decoded, self._reference = graph.add("buffer", text), graph.add("buffer", text)
        split, psnr, ssim = graph.add("split"), graph.add("psnr"), graph.add("ssim")
        self._sink = graph.add("buffersink")
        self._reference.link_to(split)
        self._decoded.link_to(psnr)
        split.link_to(psnr, 0, 1)
        psnr.link_to(ssim)
        split.link_to(ssim, 1, 1)
        ssim.link_to(self._sink)
        graph.configure()
        self._graph = graph
        self._samples = np.array([1, 0.25, 0.25]) * height * width
        self.count = 0
        self.squared_errors: NDArray[np.float64] = np.zeros(3)
        self._ssim = 0.0

    @property
    def ssim(self) -> float:
        """The mean over all pictures so far."""
        return self._ssim / max(1, self.count)

    def add(self, decoded: av.VideoFrame, reference: av.VideoFrame) -> None:
        """Compare one pair; `squared_errors` (of all samples of Y, U and V) grows by its errors."""
        for node, picture in ((self._decoded, decoded), (self._reference, reference)):
            plain = av.VideoFrame.from_ndarray(picture.to_ndarray(), "yuv420p")
            plain.pts, plain.time_base = self.count, Fraction(1)
            node.push(plain)
        facts = self._sink.pull().metadata
        self.squared_errors += self._samples * [float(facts[f"lavfi.psnr.mse.{plane}"]) for plane in PLANES]
        self._ssim += float(facts["lavfi.ssim.Y"])
        self.count += 1

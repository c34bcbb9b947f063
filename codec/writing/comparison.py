"""`Comparison`: PSNR and SSIM of decoded pictures against what they were encoded from."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

PLANES = ("y", "u", "v")


class FrameErrors:
    """Squared errors of Y, U and V over frames of `size_hw` in 4:2:0, and the frame that has the most."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._size_hw = size_hw
        self._most = -1.0
        self._sum: NDArray[np.float64] = np.zeros(3)
        self._totals = array("d")
        self.count = 0
        self.worst_frame: dict[str, float] = {}
        """Its `index`, the `psnr_db` of all its samples, and its `ssim` where that was given."""

    def add(self, squared_errors: Sequence[float] | NDArray[np.float64] | None, ssim: float | None = None) -> None:
        """Take the next frame's errors, and its SSIM where that is known; None counts as no error."""
        errors = np.zeros(3) if squared_errors is None else np.asarray(squared_errors, np.float64)
        self._sum += errors
        self._totals.append(total := float(errors.sum()))
        if total > self._most:
            self._most = total
            self.worst_frame = {"index": self.count, "psnr_db": self._psnr(errors, 1)["all"]}
            if ssim is not None:
                self.worst_frame["ssim"] = round(ssim, 6)
        self.count += 1

    @property
    def psnr_db(self) -> dict[str, float]:
        """PSNR in dB of "y", "u", "v" and "all" samples so far, from the mean squared error; 100 where it is 0."""
        return self._psnr(self._sum, max(1, self.count))

    @property
    def median_psnr_db(self) -> float:
        """PSNR in dB of all samples of the frame in the middle, by its errors; 100 where it has none."""
        return self._psnr(np.array([np.median(self._totals or [0.0]), 0, 0]), 1)["all"]

    def _psnr(self, squared_errors: NDArray[np.float64], frames: int) -> dict[str, float]:
        luma = self._size_hw[0] * self._size_hw[1] * frames
        samples = np.array([luma, luma / 4, luma / 4, luma * 1.5])
        mean = np.append(squared_errors, squared_errors.sum()) / samples
        values = [100.0 if error == 0 else float(10 * np.log10(255**2 / error)) for error in mean]
        return dict(zip((*PLANES, "all"), (round(value, 4) for value in values), strict=True))


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
        self.errors = FrameErrors(size_hw)
        """Of all pictures so far."""
        self._ssim = 0.0

    @property
    def ssim(self) -> float:
        """The mean over all pictures so far."""
        return self._ssim / max(1, self.errors.count)

    def add(self, decoded: av.VideoFrame, reference: av.VideoFrame) -> None:
        """Compare one pair."""
        for node, picture in ((self._decoded, decoded), (self._reference, reference)):
            plain = av.VideoFrame.from_ndarray(picture.to_ndarray(), "yuv420p")
            plain.pts, plain.time_base = self.errors.count, Fraction(1)
            node.push(plain)
        facts = self._sink.pull().metadata
        ssim = float(facts["lavfi.ssim.Y"])
        self.errors.add(self._samples * [float(facts[f"lavfi.psnr.mse.{plane}"]) for plane in PLANES], ssim)
        self._ssim += ssim

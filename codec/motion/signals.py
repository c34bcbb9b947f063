"""`SignalReader`: what is new in each frame, by its residual stand-in, its intra blocks and its coded size."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import Frame, MotionVectors
from .field import BLOCK, MotionField
from .residual import block_energy, block_variance, residual_of

NOISE = 6.0
"""Grey levels of difference that count for little: coding noise and film grain."""

CUT_ABOVE = 0.5
"""Novelty above which a frame is a cut: more than half of the picture is new."""

CUT_ABOVE_INTRA = 0.7
"""Share of intra-coded cells above which a predicted frame that was read without pixels is a cut."""

_MOST_FLOW_ROWS = 720  # optical flow of larger pictures is computed on smaller copies


@dataclass(frozen=True, eq=False)
class Signals:
    """What one frame brings that the frame before, in display order, did not have.

    Grids have ceil(H / 8) by ceil(W / 8) cells of 8x8 pixels, in the orientation displayed. Without pixels, `residual`,
    `energy` and `novelty` are None.

    motion: the backward field by which the frame is predicted from the one before: the codec's vectors, or optical flow
        (one entry a pixel) where the codec has none that mean the frame before; None on the first frame, and without
        pixels where there are no such vectors.
    residual: (H, W) int16, luma less its prediction; None on the first frame.
    energy: (h, w) float32, mean squared residual of each cell; None on the first frame.
    intra: (h, w) bool, cells that the codec predicts from no other frame; None where the codec exports no vectors.
    qp: the macroblocks' quantisers, (ceil(H / 16), ceil(W / 16)) int8, or None.
    packet_bytes: size of the coded frame.
    novelty: 0 to 1, the share of the picture that the frame before does not explain: the mean over cells of
        min(1, energy / (variance + NOISE**2)), with the variance of the frame's own luma in the cell; 1 on the first.
    is_cut: novelty is above CUT_ABOVE, on any frame but the first; without pixels, more than CUT_ABOVE_INTRA of a
        predicted frame's cells are intra-coded; None where that tells nothing (intra frames, other codecs).
    """

    index: int
    pict_type: str
    packet_bytes: int
    qp: NDArray[np.int8] | None = field(repr=False)
    intra: NDArray[np.bool_] | None = field(repr=False)
    is_cut: bool | None
    novelty: float | None = None
    motion: MotionField | None = field(default=None, repr=False)
    residual: NDArray[np.int16] | None = field(default=None, repr=False)
    energy: NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def macroblock_energy(self) -> NDArray[np.float32] | None:
        """Mean squared residual of each 16x16 macroblock, (ceil(H / 16), ceil(W / 16)) float32."""
        return None if self.residual is None else block_energy(self.residual, 2 * BLOCK)

    @property
    def frame_energy(self) -> float | None:
        """Mean squared residual of the frame, in grey levels squared."""
        return None if self.residual is None else float(np.square(self.residual, dtype=np.float32).mean())

    @property
    def intra_share(self) -> float | None:
        """Share of the cells that are intra-coded, from 0 to 1."""
        return None if self.intra is None else float(self.intra.mean())


class SignalReader:
    """Gives the signals of a video's frames, one after the other; holds one frame's luma, however long the video.

    Frames come in display order, none left out, read with or without pixels. A frame of another size than the one
    before is wholly new. The optical flow is dense inverse search (Kroeger et al., ECCV 2016) as OpenCV has it.
    """

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def update(self, frame: Frame) -> Signals:
        """The signals of the next frame."""
        coded = _field_of(frame)
        intra = intra_cells(frame) if coded is None else coded.unreferenced
        if frame.load_luma is None and frame.load_image is None:
            is_predicted = intra is not None and frame.pict_type != "I"
            is_cut = bool(intra.mean() > CUT_ABOVE_INTRA) if intra is not None and is_predicted else None
            return Signals(frame.index, frame.pict_type, frame.packet_bytes, frame.qp, intra, is_cut, motion=coded)
        before, luma = self._before, frame.luma
        self._before = luma
        if before is None or before.shape != luma.shape:
            return Signals(
                frame.index, frame.pict_type, frame.packet_bytes, frame.qp, intra, before is not None, novelty=1.0
            )
        motion = self._optical_flow(luma, before) if coded is None else coded
        rest = residual_of(luma, before, motion)
        energy = block_energy(rest)
        novelty = novelty_of(luma, energy)
        return Signals(
            frame.index,
            frame.pict_type,
            frame.packet_bytes,
            frame.qp,
            intra,
            novelty > CUT_ABOVE,
            novelty,
            motion,
            rest,
            energy,
        )

    def _optical_flow(self, luma: NDArray[np.uint8], before: NDArray[np.uint8]) -> MotionField:
        height, width = luma.shape
        scale = -(-height // _MOST_FLOW_ROWS)
        small_wh = width // scale, height // scale
        here, there = (cv2.resize(picture, small_wh, interpolation=cv2.INTER_AREA) for picture in (luma, before))
        flow = cv2.resize(self._flow.calc(here, there, None), (width, height)) * np.float32(scale)
        return MotionField(
            np.asarray(flow, np.float32), np.zeros((height, width), np.bool_), (height, width), (1.0, 1.0)
        )


def novelty_of(luma: NDArray[np.uint8], energy: NDArray[np.float32]) -> float:
    """The share, 0 to 1, of a picture (H, W) that leaves the `energy` of its 8x8 cells unexplained; see `Signals`."""
    return float(np.minimum(energy / (block_variance(luma) + np.float32(NOISE**2)), 1).mean())


def _field_of(frame: Frame) -> MotionField | None:
    """The codec's motion to the frame before, or None where its vectors do not mean that."""
    if frame.motion is None or frame.motion_absence is not None:
        return None
    return MotionField.from_vectors(frame.motion)


def intra_cells(frame: Frame) -> NDArray[np.bool_] | None:
    """Cells of 8x8 pixels that no vector of either list covers, (ceil(H / 8), ceil(W / 8)) bool.

    All of an I-frame's; None where vectors are not exported.
    """
    if frame.pict_type == "I":
        height, width = frame.size_hw
        return np.ones((-(-height // BLOCK), -(-width // BLOCK)), np.bool_)
    if frame.motion is None:
        return None
    array = frame.motion.array
    if (array["source"] > 0).any():
        array = array.copy()
        array["source"] = -1
    return MotionField.from_vectors(MotionVectors(array, frame.motion.size_hw)).unreferenced

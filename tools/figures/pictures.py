"""The pictures of docs/codec.md, drawn of a synthetic street."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import CUT_ABOVE, Frame, MotionChain, MotionField, SignalReader, Signals, compensate, open_video
from ...data import SyntheticStreet
from ..foreign_encodes import ONE_REFERENCE, encode_x264
from .drawing import BLUE, GREY, ORANGE, RED, arc, bare, figure, panel, scale

GOP = 12
_SHOWN = 6  # the frame of which vectors and residual are shown

_Image = NDArray[np.uint8]


def draw_all(folder: Path, seed: int) -> Iterator[tuple[str, Any]]:
    """Name and matplotlib figure of every picture of docs/codec.md; `folder` is for videos on the way."""
    images = _street(seed, GOP)
    other, third = _street(seed + 1, 16), _street(seed + 3, 14)
    coded = {"b": "750k", "x264-params": f"{ONE_REFERENCE}:keyint={GOP}"}
    video = encode_x264(folder / "street.mp4", images, coded)
    foreign = encode_x264(folder / "foreign.mp4", images, {"crf": "23"})
    joined = encode_x264(folder / "joined.mp4", [*images, *images[::-1][1:7], *other, *third], coded)
    yield "codec-vectors", _vectors(video)
    yield "codec-references", _references(video, foreign)
    yield "codec-composition", _composition(video)
    yield "codec-residual", _residual(video)
    yield "codec-novelty", _novelty(joined)


def _street(seed: int, count: int) -> list[_Image]:
    return [image for image, _ in SyntheticStreet(seed=seed).frames(count)]


def _read(video: Path, **options: Any) -> list[Frame]:
    """All frames with what is lazy about them in memory."""
    with open_video(video, qp=True, **options) as frames:
        read = list(frames)
        for frame in read:
            _ = frame.image, frame.luma
    return read


def _vectors(video: Path) -> Any:
    frame = _read(video)[_SHOWN]
    assert frame.motion is not None
    field = MotionField.from_vectors(frame.motion)
    drawing, (left, right) = figure(1, 2, height=5.6)
    panel(left, frame.image, f"P-frame {frame.index}: each block, and where it comes from in frame {frame.index - 1}")
    for block in frame.motion.array:
        corner = block["dst_x"] - block["w"] / 2, block["dst_y"] - block["h"] / 2
        left.add_patch(_rectangle(corner, int(block["w"]), int(block["h"])))
    shift = np.stack([frame.motion.array[f"motion_{axis}"] for axis in "xy"], 1) / 4
    left.quiver(
        frame.motion.array["dst_x"],
        frame.motion.array["dst_y"],
        shift[:, 0],
        shift[:, 1],
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.0022,
        color=ORANGE,
    )
    height, width = frame.size_hw
    left.set_xlim(0, width)
    left.set_ylim(height, 0)
    length = np.hypot(field.displacement[..., 0], field.displacement[..., 1])
    shown = panel(
        right,
        np.ma.array(length, mask=field.unreferenced),
        "the same as a field of 8x8 cells",
        cell=8,
        size_hw=frame.size_hw,
    )
    scale(right, shown, "displacement, pixels a frame; grey: intra-coded")
    return drawing


def _rectangle(corner: tuple[float, float], width: int, height: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, width, height, fill=False, edgecolor="white", linewidth=0.25, alpha=0.7)


def _references(video: Path, foreign: Path) -> Any:
    drawing, axes = figure(2, 1, height=4.8, ratios=(1, 1.8))
    titles = (
        "`preprocess encode`: one reference, no B-frames. Every vector means the frame before",
        "x264's defaults: several references and B-frames. Which picture a vector means is not exported, but recovered",
    )
    ranges = (-0.9, 2.1), (-2.6, 5.9)
    for axis, path, title, limits in zip(axes, (video, foreign), titles, ranges, strict=True):
        frames = _read(path, references=True)
        for frame in frames:
            axis.text(frame.index, 0, frame.pict_type, ha="center", va="center", fontsize=11, zorder=3)
            axis.scatter(frame.index, 0, s=420, color=BLUE if frame.pict_type != "I" else ORANGE, alpha=0.35, zorder=2)
            for picture, share in _shares(frame).items():
                if share >= 0.02:
                    arc(axis, frame.index, picture, share)
        axis.set_xlim(-0.7, GOP - 0.3)
        axis.set_ylim(*limits)
        bare(axis, title)
    axes[1].set_xlabel("display order; the wider an arrow, the more of the frame's area it predicts", fontsize=9)
    return drawing


def _shares(frame: Frame) -> dict[int, float]:
    """Display index of each reference, and the share of the picture's area that its vectors predict."""
    if frame.motion is None:
        return {}
    blocks = frame.motion.array
    area = blocks["w"].astype(np.float64) * blocks["h"] / (frame.size_hw[0] * frame.size_hw[1])
    picture = np.full(len(blocks), frame.index - 1) if frame.references is None else frame.references.picture
    return {int(index): float(area[picture == index].sum()) for index in np.unique(picture[picture >= 0])}


def _composition(video: Path) -> Any:
    frames = _read(video)
    chain = MotionChain(frames[0].image.shape[:2])
    for frame in frames[1:]:
        assert frame.motion is not None
        chain.push(MotionField.from_vectors(frame.motion))
    key, last = frames[0].image, frames[-1].image
    composed = chain.compose(4)
    moved = compensate(key, composed)
    drawing, axes = figure(2, 3, height=7.4)
    panel(axes[0, 0], key, "the keyframe, d = 0")
    panel(axes[0, 1], moved, "the keyframe moved by composed vectors")
    panel(axes[0, 2], last, f"the frame itself, d = {GOP - 1}")
    for axis, guess, name in ((axes[1, 0], key, "repeated"), (axes[1, 1], moved, "moved")):
        error = np.abs(guess.astype(np.float32) - last).mean(2)
        panel(
            axis, error, f"error of the keyframe {name}: {_psnr(guess, last):.1f} dB", limits=(0, 80), colours="magma"
        )
    lost = np.ma.array(np.hypot(*np.moveaxis(composed.displacement, 2, 0)), mask=composed.unreferenced)
    shown = panel(axes[1, 2], lost, "length of the way; grey: it met an intra block", cell=4, size_hw=composed.size_hw)
    scale(axes[1, 2], shown, "pixels")
    return drawing


def _psnr(a: _Image, b: _Image) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2)))


def _signals(video: Path) -> tuple[list[Frame], list[Signals]]:
    frames = _read(video)
    reader = SignalReader()
    return frames, [reader.update(frame) for frame in frames]


def _residual(video: Path) -> Any:
    frames, signals = _signals(video)
    frame, found = frames[_SHOWN], signals[_SHOWN]
    assert found.motion is not None
    assert found.residual is not None
    assert found.energy is not None
    assert found.qp is not None
    predicted = compensate(frames[_SHOWN - 1].luma, found.motion)
    drawing, axes = figure(2, 3, height=7.4)
    panel(axes[0, 0], frame.luma, f"luma of P-frame {frame.index}", limits=(0, 255), colours="gray")
    panel(axes[0, 1], predicted, "its prediction: the frame before, moved", limits=(0, 255), colours="gray")
    panel(axes[0, 2], found.residual, "residual: luma less prediction, ±40", limits=(-40, 40), colours="gray")
    energy = panel(
        axes[1, 0],
        np.sqrt(found.energy),
        "energy by 8x8 cell (its root)",
        cell=8,
        size_hw=frame.size_hw,
        limits=(0, 30),
        colours="magma",
    )
    scale(axes[1, 0], energy, "grey levels")
    dimmed = frame.image // 3 + 80
    mask = cv2.resize(found.intra.astype(np.uint8), frame.image.shape[1::-1], interpolation=cv2.INTER_NEAREST)  # type: ignore[union-attr]
    panel(
        axes[1, 1],
        np.where(mask[..., None] > 0, np.array(RED, np.uint8), dimmed),
        f"intra-coded cells: {found.intra_share:.1%}",
    )
    quantiser = panel(axes[1, 2], found.qp, "quantiser (QP) by macroblock", cell=16, size_hw=frame.size_hw)
    scale(axes[1, 2], quantiser, "QP")
    return drawing


def _novelty(video: Path) -> Any:
    frames, signals = _signals(video)
    drawing, axes = figure(3, 1, height=6.0, ratios=(1.5, 2.2, 1.1))
    _thumbnails(axes[0], frames, signals)
    index = np.arange(len(frames))
    red = [value / 255 for value in RED]
    novelty = [found.novelty for found in signals]
    axes[1].axhline(CUT_ABOVE, color=GREY, linewidth=0.8, linestyle="--")
    axes[1].plot(index, novelty, color=BLUE, marker=".", label="novelty")
    intra = [np.nan if f.pict_type == "I" else f.intra_share for f in signals]
    axes[1].plot(index, intra, color=ORANGE, linewidth=1, label="intra share of P-frames")
    for found in signals:
        if found.is_cut:
            axes[1].axvline(found.index, color=red, linewidth=1, alpha=0.6)
            axes[1].text(found.index + 0.3, 1.03, "cut", color=red, fontsize=9)
    axes[1].set_ylim(0, 1.15)
    axes[1].set_ylabel("share, 0 to 1")
    axes[1].legend(loc="upper center", frameon=False, fontsize=9)
    kilobytes = np.array([frame.packet_bytes for frame in frames]) / 1000
    colours = [ORANGE if frame.pict_type == "I" else BLUE for frame in frames]
    axes[2].bar(index, kilobytes, color=colours, width=0.8)
    axes[2].set_ylabel("packet, kB")
    axes[2].set_xlabel("frame; orange packets are keyframes (I)")
    for axis in axes[1:]:
        axis.set_xlim(-0.7, len(frames) - 0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return drawing


def _thumbnails(axis: Any, frames: Sequence[Frame], signals: Sequence[Signals]) -> None:
    """The first frame of each scene, and one frame from its middle."""
    starts = [0, *(found.index for found in signals if found.is_cut)]
    ends = [*starts[1:], len(frames)]
    chosen = [index for start, end in zip(starts, ends, strict=True) for index in (start, (start + end) // 2)]
    row = [cv2.resize(frames[index].image, (240, 180), interpolation=cv2.INTER_AREA) for index in chosen]
    gap = np.full((180, 8, 3), 255, np.uint8)
    strip = np.hstack([part for image in row for part in (image, gap)][:-1])
    panel(axis, strip, "frames " + ", ".join(map(str, chosen)))

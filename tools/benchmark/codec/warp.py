"""`benchmark-codec warp`: how well the keyframe, moved by composed motion, fits the frames of streams with B-frames."""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import cv2
import numpy as np
from tqdm import tqdm

from ....codec import Frame, MotionChain, MotionField, filled, open_video
from ....data import SyntheticStreet
from ..printing import report
from .references import ONE_REFERENCE, Image, encoded, images_of, warped

ENCODINGS = {
    "one_reference": ONE_REFERENCE,
    "defaults": "",
    "three_b_frames": "bframes=3:b-adapt=0",
    "open_gops": "bframes=3:b-adapt=0:open-gop=1",
    "five_references": "ref=5",
}
"""x264's parameters; the first is what the others are compared with."""
_RATE = Fraction(15)


def measure_warp(
    sources: Sequence[str], streets: int, size: tuple[int, int], frames: int, gop: int, crf: float, params: str
) -> None:
    """Measure and report; the arguments are those of `benchmark-codec warp`, `size` is (width, height)."""
    cv2.setNumThreads(1)
    clips: dict[str, dict[str, dict[str, float]]] = {}
    bar = tqdm(total=len(sources) + streets, desc="clips", disable=not sys.stderr.isatty(), leave=False)
    for name, images in _clips(sources, streets, size, frames):
        clips[name] = {}
        for kind, own in ENCODINGS.items():
            extra = ":".join(part for part in (own, params if kind != "one_reference" else "") if part)
            options = {"preset": "medium", "crf": str(crf), "x264-params": extra}
            clips[name][kind] = _fit(encoded(images, _RATE, gop, options))
        bar.update()
    report(
        gop=gop,
        crf=crf,
        x264_params=params,
        psnr_db_mean={
            kind: round(float(np.mean([c[kind]["psnr_db"] for c in clips.values()])), 2) for kind in ENCODINGS
        },
        least_against_one_reference_db={
            kind: round(min(c[kind]["psnr_db"] - c["one_reference"]["psnr_db"] for c in clips.values()), 2)
            for kind in ENCODINGS
        },
        clips=clips,
    )


def _clips(
    sources: Sequence[str], streets: int, size: tuple[int, int], frames: int
) -> Iterator[tuple[str, Sequence[Image]]]:
    for source in sources:
        yield source, images_of(source, frames)
    for seed in range(streets):
        drive = SyntheticStreet(seed, (size[1], size[0]), _RATE)
        yield f"street {seed}", [image for image, _ in itertools.islice(drive.frames(frames), frames)]


def _fit(stream: bytes) -> dict[str, float]:
    """PSNR in dB over all frames that have motion to a keyframe, from the mean squared error; the share of the picture
    whose way meets a block without vector (`lost_share`), and the parts of the error that lie there and elsewhere."""
    lost, inside, outside = [], [], []
    for frame, key, motion in _composed(stream):
        error = np.square(warped(key.image, motion).astype(np.float32) - frame.image).mean(2)
        height, width = motion.size_hw
        mask = motion.unreferenced.repeat(4, 0).repeat(4, 1)[:height, :width]
        lost.append(float(mask.mean()))
        inside.append(float(error[mask].sum() / error.size))
        outside.append(float(error[~mask].sum() / error.size))
    return {
        "psnr_db": round(float(10 * np.log10(255**2 / (np.mean(inside) + np.mean(outside)))), 2),
        "lost_share": round(float(np.mean(lost)), 4),
        "error_lost": round(float(np.mean(inside)), 2),
        "error_elsewhere": round(float(np.mean(outside)), 2),
    }


def _composed(stream: bytes) -> Iterator[tuple[Frame, Frame, MotionField]]:
    """Frames that are no keyframes, their keyframes, and the motion there, for 4x4 cells."""
    with open_video(io.BytesIO(stream), references=True) as video:
        frames: Mapping[int, Frame] = {frame.index: frame for frame in video}
        chain = MotionChain(video.size_hw)
    for frame in frames.values():
        if frame.references is not None:
            if frame.references.keyframe is not None:
                yield frame, frames[frame.key_index], frame.references.compose(4)
        elif frame.is_keyframe:
            chain.reset()
        elif frame.motion is not None:
            chain.push(filled(MotionField.from_vectors(frame.motion)))
            yield frame, frames[frame.index - frame.distance], chain.compose(4)

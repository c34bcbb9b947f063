"""What a video's stream is made of: its frames and GOPs in numbers, in one pass, without pixels unless asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ...codec import CompressedVideo, Frame, FrameReferences, MotionAbsence, SignalReader, Signals
from ..extract import UNKNOWN_QP, with_known_vectors

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class FrameStats:
    """One frame in numbers, each None where the stream does not tell.

    `qp_mean` is over macroblocks; `motion_px_mean` the mean length in pixels of the displacement to the previous
    frame, over the picture's area that has vectors; where references were found, that to the picture referred to, for
    each frame in between. `previous_share` is the share of that area that refers to the frame before, and
    `confidence_mean` how sure its references are, both 0 to 1; None where vectors do not tell, or were not looked into.
    `intra_share` is the share of 8x8 cells without a vector, from 0 to 1.
    `residual_rms` is in grey levels; it and `novelty` need pixels, `is_cut` does on I-frames (see codec's `Signals`).
    """

    index: int
    pts_seconds: float | None
    pict_type: str
    is_keyframe: bool
    distance: int
    packet_bytes: int
    qp_mean: float | None
    motion_px_mean: float | None
    previous_share: float | None
    confidence_mean: float | None
    intra_share: float | None
    residual_rms: float | None
    novelty: float | None
    is_cut: bool | None
    is_corrupt: bool


@dataclass(frozen=True)
class GopStats:
    """A keyframe and the frames up to the next, in display order; the means of motion and intra are over P-frames."""

    frames: Sequence[FrameStats]

    @property
    def first(self) -> int:
        """Index of the first frame."""
        return self.frames[0].index

    @property
    def last(self) -> int:
        """Index of the last frame."""
        return self.frames[-1].index

    @property
    def pict_types(self) -> str:
        """One letter a frame."""
        return "".join(frame.pict_type for frame in self.frames)

    @property
    def packet_bytes(self) -> int:
        """Size of all its coded frames."""
        return sum(frame.packet_bytes for frame in self.frames)

    @property
    def qp_mean(self) -> float | None:
        """Mean quantiser of all its frames."""
        return mean_of(frame.qp_mean for frame in self.frames)

    @property
    def motion_px_mean(self) -> float | None:
        """Mean length of motion of its P-frames, in pixels a frame."""
        return mean_of(frame.motion_px_mean for frame in self.frames)

    @property
    def intra_share(self) -> float | None:
        """Mean intra share of its P-frames."""
        return mean_of(frame.intra_share for frame in self.frames if frame.pict_type != "I")

    @property
    def novelty_mean(self) -> float | None:
        """Mean novelty of its frames."""
        return mean_of(frame.novelty for frame in self.frames)

    @property
    def cuts(self) -> list[int]:
        """Indices of its frames that are known to be cuts."""
        return [frame.index for frame in self.frames if frame.is_cut]

    def as_json(self) -> dict[str, Any]:
        """The GOP's entry in the JSON."""
        return {
            "first": self.first,
            "last": self.last,
            "pict_types": self.pict_types,
            "bytes": self.packet_bytes,
            "qp_mean": self.qp_mean,
            "motion_px_mean": self.motion_px_mean,
            "intra_share": self.intra_share,
            "novelty_mean": self.novelty_mean,
            "cuts": self.cuts,
        }


def mean_of(values: Iterable[float | None]) -> float | None:
    """The mean of those that are known, or None."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def read_gops(video: CompressedVideo, *, signals: bool = False, references: bool = False) -> Iterator[GopStats]:
    """The GOPs of a video opened with `qp=True`, each as soon as it is over; errors are the reader's.

    With `signals` also novelty, and cuts on I-frames, for which the video has to be opened with pixels. With
    `references`, for which it has to be opened with `references=True`, motion is that to the pictures that vectors
    point to.
    """
    frames: list[FrameStats] = []
    reader = SignalReader()
    for frame in with_known_vectors(video, by_order=False) if references else video:
        if frame.distance == 0 and frames:
            yield GopStats(tuple(frames))
            frames.clear()
        seen = frame if signals else replace(frame, load_image=None, load_luma=None)
        frames.append(_stats(frame, reader.update(seen)))
    yield GopStats(tuple(frames))


def _stats(frame: Frame, signals: Signals) -> FrameStats:
    motion: float | None = None
    previous: float | None = None
    confidence: float | None = None
    if frame.references is not None:
        motion, previous, confidence = _referred(frame, frame.references)
    elif frame.motion_absence is None and signals.motion is not None:
        known = signals.motion.displacement[~signals.motion.unreferenced]
        if len(known):
            motion, previous, confidence = float(np.hypot(known[:, 0], known[:, 1]).mean()), 1.0, 1.0
    energy = signals.frame_energy
    qp = None if frame.qp is None else frame.qp[frame.qp != UNKNOWN_QP]
    return FrameStats(
        index=frame.index,
        pts_seconds=frame.pts_seconds,
        pict_type=frame.pict_type,
        is_keyframe=frame.is_keyframe,
        distance=frame.distance,
        packet_bytes=frame.packet_bytes,
        qp_mean=None if qp is None or not qp.size else float(qp.mean()),
        motion_px_mean=motion,
        previous_share=previous,
        confidence_mean=confidence,
        intra_share=None if frame.motion_absence is MotionAbsence.INTERLACED else signals.intra_share,
        residual_rms=None if energy is None else energy**0.5,
        novelty=signals.novelty,
        is_cut=signals.is_cut,
        is_corrupt=frame.corrupt,
    )


def _referred(frame: Frame, references: FrameReferences) -> tuple[float, float, float] | tuple[None, None, None]:
    """Mean pixels of motion a frame, share that refers to the frame before, and mean confidence."""
    cells = references.cells()
    if cells is None or not (known := (cells.confidence > 0) & (cells.picture >= 0)).any():
        return None, None, None
    away = frame.index - cells.picture[known]
    pixels = np.hypot(*(cells.displacement[known].T / 4)) / np.abs(away)
    return float(pixels.mean()), float((away == 1).mean()), float(cells.confidence[known].mean() / 255)


def summarise(video: CompressedVideo, gops: Sequence[GopStats]) -> dict[str, Any]:
    """The totals of a video that was read to its end; docs/extract.md lists the keys."""
    frames = [frame for gop in gops for frame in gop.frames]
    times = [frame.pts_seconds for frame in frames if frame.pts_seconds is not None]
    span = max(times) - min(times) if len(times) > 1 else (len(frames) - 1) / float(video.frame_rate)
    duration = span + 1 / float(video.frame_rate)
    size = sum(gop.packet_bytes for gop in gops)
    absence = video.motion_absence
    return {
        "schema_version": SCHEMA_VERSION,
        "source": video.name,
        "codec": video.codec_name,
        "pixel_format": video.pixel_format,
        "size_hw": list(video.size_hw),
        "rotation_degrees": video.rotation_degrees,
        "frame_rate": str(video.frame_rate),
        "time_base": str(video.time_base),
        "frame_count": len(frames),
        "duration_seconds": duration,
        "bytes": size,
        "bitrate_bps": round(8 * size / duration),
        "pict_types": dict(Counter(frame.pict_type for frame in frames).most_common()),
        "gop_count": len(gops),
        "gop_lengths": {str(n): k for n, k in Counter(len(gop.frames) for gop in gops).most_common()},
        "reference_frames": video.reference_frames,
        "motion_absence": None if absence is None else absence.name,
        "motion_absence_reason": None if absence is None else absence.value,
        "qp_mean": mean_of(frame.qp_mean for frame in frames),
        "motion_px_mean": mean_of(frame.motion_px_mean for frame in frames),
        "previous_share": mean_of(frame.previous_share for frame in frames),
        "confidence_mean": mean_of(frame.confidence_mean for frame in frames),
        "intra_share": mean_of(frame.intra_share for frame in frames if frame.pict_type != "I"),
        "novelty_mean": mean_of(frame.novelty for frame in frames),
        "cuts": [index for gop in gops for index in gop.cuts],
        "frames_not_judged": sum(frame.is_cut is None for frame in frames),
        "damaged_frames": sum(frame.is_corrupt for frame in frames),
        "refused_packets": video.decode_errors,
    }


def frames_as_json(gops: Sequence[GopStats]) -> list[dict[str, Any]]:
    """One entry for each frame: the fields of `FrameStats`."""
    return [asdict(frame) for gop in gops for frame in gop.frames]

"""A stream's structure as text: rows for GOPs or frames as they are read, and the totals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from ...codec import CompressedVideo, MotionAbsence
from .structure import FrameStats, GopStats

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "._-:=+*#"
_STRIP = 24  # frames on one line, which is then 79 signs wide


class StructureTable:
    """Lines of a table for a terminal; `bars` are the signs for sizes, smallest first (BLOCKS, or ASCII).

    A bar's height is the square root of the frame's bytes, as a part of the biggest frame's of its GOP. `novelty` adds
    a column for it, as far as the frames know it. Cuts are named after the numbers.
    """

    def __init__(self, bars: str = BLOCKS, novelty: bool = False) -> None:
        self._bars, self._novelty = bars, novelty

    def gop_header(self) -> str:
        """The heads of `gop_rows`' columns."""
        strip = f"{'types, and sizes below':<{_STRIP}}"
        head = f"{'GOP':>5} {'frames':>11}  {strip} {'bytes':>11} {'QP':>5} {'motion px':>9} {'intra %':>7}"
        return head + self._novelty_head()

    def gop_rows(self, number: int, gop: GopStats) -> Iterator[str]:
        """Two lines for each 24 frames: letters, and bars below."""
        lead = f"{number:>5} {f'{gop.first}-{gop.last}':>11}  "
        numbers = (
            f" {gop.packet_bytes:>11,} {_number(gop.qp_mean, 5)} {_number(gop.motion_px_mean, 9, 2)} "
            f"{_number(gop.intra_share, 7, scale=100)}{self._novelty_of(gop.novelty_mean)}"
        )
        if gop.cuts:
            numbers += f"  cut at {', '.join(map(str, gop.cuts))}"
        types, bars = gop.pict_types, self._strip(gop.frames)
        for at in range(0, len(types), _STRIP):
            part = types[at : at + _STRIP]
            yield f"{lead}{part:<{_STRIP}}{numbers}".rstrip()
            yield " " * len(lead) + bars[at : at + _STRIP]
            lead, numbers = " " * len(lead), ""

    def frame_header(self) -> str:
        """The heads of `frame_rows`' columns."""
        head = (
            f"{'frame':>7} {'seconds':>10} type {'d':>4} {'bytes':>9} {'size':<8} "
            f"{'QP':>5} {'motion px':>9} {'intra %':>7}"
        )
        return head + self._novelty_head()

    def frame_rows(self, gop: GopStats) -> Iterator[str]:
        """A line for each frame, with a bar of up to eight signs; the keyframe's type has a star."""
        most = max(frame.packet_bytes for frame in gop.frames)
        for frame in gop.frames:
            length = round(8 * _root(frame.packet_bytes, most))
            star = "*" if frame.is_keyframe else " "
            yield (
                f"{frame.index:>7} {_number(frame.pts_seconds, 10, 3)}  {frame.pict_type}{star} {frame.distance:>4} "
                f"{frame.packet_bytes:>9,} {self._bars[-1] * max(1, length):<8} {_number(frame.qp_mean, 5)} "
                f"{_number(frame.motion_px_mean, 9, 2)} {_number(frame.intra_share, 7, scale=100)}"
                f"{self._novelty_of(frame.novelty)}"
                + ("  cut" if frame.is_cut else "")
                + ("  damaged" if frame.is_corrupt else "")
            )

    def _novelty_head(self) -> str:
        return f" {'novelty':>7}" if self._novelty else ""

    def _novelty_of(self, value: float | None) -> str:
        return f" {_number(value, 7, 2)}" if self._novelty else ""

    def _strip(self, frames: Sequence[FrameStats]) -> str:
        most = max(frame.packet_bytes for frame in frames)
        top = len(self._bars) - 1
        return "".join(self._bars[round(top * _root(frame.packet_bytes, most))] for frame in frames)


def heading(video: CompressedVideo) -> str:
    """One line of what is known before the first frame is read."""
    height, width = video.size_hw
    turned = f", turned by {video.rotation_degrees} degrees" if video.rotation_degrees else ""
    return (
        f"{video.name}: {video.codec_name}, {width}x{height}{turned}, {video.pixel_format}, "
        f"{_rate(video.frame_rate)} frames/s"
    )


def totals(summary: dict[str, Any]) -> Iterator[str]:
    """The lines below the table."""
    types = ", ".join(f"{count} {kind}" for kind, count in summary["pict_types"].items())
    lengths = list(summary["gop_lengths"].items())
    shown = ", ".join(f"{count} of {length}" for length, count in lengths[:4])
    more = f", {len(lengths) - 4} other lengths" if len(lengths) > 4 else ""
    references = summary["reference_frames"]
    rows = {
        "frames": f"{summary['frame_count']} in {summary['duration_seconds']:.3f} s: {types}",
        "GOPs": f"{summary['gop_count']}: {shown} frames{more}",
        "bitrate": f"{summary['bitrate_bps'] / 1e6:.3f} Mb/s, {summary['bytes']:,} bytes of video",
        "QP": "unknown: the decoder exports none"
        if summary["qp_mean"] is None
        else f"{summary['qp_mean']:.1f} on average",
        "references": "unknown" if references is None else f"{references} at most",
        "cuts": _cuts(summary),
        "motion": _motion(summary),
    }
    if broken := summary["damaged_frames"] + summary["refused_packets"]:
        rows["damage"] = f"{broken} damaged packets or frames"
    for name, text in rows.items():
        yield f"{name:<11} {text}"


def _motion(summary: dict[str, Any]) -> str:
    if summary["motion_absence"] is not None:
        if summary["motion_px_mean"] is not None:
            silent = summary["motion_absence"] == MotionAbsence.B_VECTORS.name
            return (
                f"to several frames, found with a confidence of {summary['confidence_mean']:.2f}: "
                f"{summary['motion_px_mean']:.2f} px a frame on average, {summary['previous_share']:.1%} of the area "
                "to the frame before" + (f"; none of B-frames: {summary['motion_absence_reason']}" if silent else "")
            )
        if MotionAbsence[summary["motion_absence"]].is_recoverable:
            return f"to several frames: {summary['motion_absence_reason']} (--references finds out to which)"
        return f"not usable: {summary['motion_absence_reason']} (`preprocess encode` makes a stream where it is)"
    if summary["motion_px_mean"] is None:
        return "none: every frame is intra-coded"
    return (
        f"to the previous frame, {summary['motion_px_mean']:.2f} px a frame on average, "
        f"{summary['intra_share']:.1%} of the area of P-frames intra"
    )


def _cuts(summary: dict[str, Any]) -> str:
    cuts, unknown = summary["cuts"], summary["frames_not_judged"]
    shown = ", ".join(map(str, cuts[:8])) + (f" and {len(cuts) - 8} more" if len(cuts) > 8 else "")
    text = f"{len(cuts)}: at frame{'s' * (len(cuts) > 1)} {shown}" if cuts else "none"
    if unknown:
        text += f"; {unknown} frames that vectors tell nothing of are not judged (--signals looks at pixels)"
    return text


def _root(size: int, most: int) -> float:
    return float((size / most) ** 0.5) if most else 0.0


def _rate(rate: Fraction) -> str:
    return str(rate) if rate.denominator == 1 else f"{float(rate):.3f} ({rate})"


def _number(value: float | None, width: int, digits: int = 1, scale: float = 1) -> str:
    return f"{'-':>{width}}" if value is None else f"{value * scale:>{width}.{digits}f}"

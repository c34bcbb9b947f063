"""How a file is cut into parts at keyframes, or why it is not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from ....codec import CodecError, StartPoint, StartPoints, declared_frames, find_start_points
from ....data import list_images
from ....errors import GopsegError
from ...inputs import is_live, is_stills, open_source, plan_reencode
from ...modes import MODES, Options, option_names
from ..request import InferenceRequest
from ..resolving import codec_reads, resolve_mode
from .part import Part

PARTS_A_WORKER = 4
"""Into how many parts a worker's share of the frames is cut, so that all end at about the same time."""
MOST_FRAMES = 3000
"""Frames that a part has at most, if keyframes allow: what the death of a worker costs."""
LEAST_GOPS, LEAST_FRAMES = 4, 48
"""What a part has at least: each decodes a GOP before its own, for what modes remember of it."""
FRAMES_A_WORKER, SEEN_A_WORKER = 240, 48
"""Frames that pay for one more process, which starts for three seconds: carried ones, and those at which a network
looks."""
ONE_CORE = 4
"""How many times as many, where each would have one core: the threads of one process keep nearly two busy."""
LEAD_SHARE = 0.35
"""What a frame costs that is read ahead of a part, of what one costs that is labelled."""
_LEAD_FRAMES = 16  # further back than any picture refers within a GOP (H.264, A.3.1)
_TIME_RESOLUTION = 1_000_000


class NotCut(GopsegError):  # noqa: N818 - says why, and is no failure
    """Why a source is left to one worker."""


def frames_of(request: InferenceRequest) -> int | None:
    """Frames that a source will give by its container's account, its bounds aside; None where that is not known."""
    try:
        if is_live(request.source):
            return None
        if is_stills(request.source):
            return len(list_images(request.source))
        count = declared_frames(request.source, stream=request.stream)
    except (CodecError, OSError):
        return 0  # its own run will say why
    return min(count, request.max_frames) if count and request.max_frames else count


def workers_that_pay(work: Iterable[tuple[InferenceRequest, int | None]], most: int, cores: int) -> int:
    """How many processes are worth starting on so many cores, up to `most`, for requests with their numbers of frames
    (None or 0: not known, which may be any number)."""
    paid = 0.0
    for request, frames in work:
        if not frames:
            return most
        names = option_names(MODES[request.mode])
        is_carried = "interval" in names and "lr_scale" not in names
        paid += frames / (FRAMES_A_WORKER if is_carried else SEEN_A_WORKER)
    return next((count for count in range(most, 1, -1) if count * (ONE_CORE if cores < 2 * count else 1) <= paid), 1)


@dataclass(frozen=True)
class Plan:
    """A file's parts, in order, with the unit of their times in seconds, and the mode that is run with its options."""

    parts: tuple[Part, ...]
    time_base: Fraction
    mode: str
    options: Options


def plan(request: InferenceRequest, workers: int, share: int) -> Plan:
    """How a file is cut for `workers` of which each has `share` frames to label in all; NotCut where it is not to be.

    Parts begin at keyframes across which labels depend on nothing, so that they are those that one worker makes.
    """
    source = request.source
    if is_live(source) or is_stills(source):
        raise NotCut("it is live" if is_live(source) else "it is a folder of still images")
    mode, options = _mode_that_can_be_cut(request)
    points = find_start_points(source, request.stream)
    if points.obstacle is not None:
        raise NotCut(f"it {points.obstacle}")
    begin, end = bounds(request, points)
    gop = max(1, (end - begin) // max(1, sum(begin <= point.index < end for point in points.points)))
    parts = cut(points, begin, end, part_count(end - begin, gop, workers, share))
    if len(parts) < 2:
        raise NotCut("it is too short, or has too few keyframes")
    return Plan(parts, points.time_base, mode, options)


def _mode_that_can_be_cut(request: InferenceRequest) -> tuple[str, Options]:
    """The mode that a source is labelled in; NotCut where labels depend on where reading begins."""
    reads = codec_reads(request)
    with open_source(
        request.source, motion=reads.motion or reads.vectors, gop_max=request.gop_max, stream=request.stream
    ) as source:
        name, options = resolve_mode(request, source)
        mode = MODES[name]
        reads = mode.reads(options)
        if plan_reencode(source, needs_motion=reads.motion, policy=request.reencode) is not None:
            raise NotCut("it is re-encoded in memory, from its beginning")
        if reads.motion and source.codec_name != "h264":
            raise NotCut(f"motion of {source.codec_name} is judged by what was read before")
    remembered = mode.remembers(options)
    if remembered is not None:
        raise NotCut(f"mode {name} {remembered}")
    return name, options


def resolved(request: InferenceRequest) -> tuple[str, Options]:
    """The mode that a source is labelled in, and its options."""
    reads = codec_reads(request)
    with open_source(request.source, motion=reads.motion or reads.vectors, stream=request.stream) as source:
        return resolve_mode(request, source)


def part_count(frames: int, gop: int, workers: int, share: int) -> int:
    """Into how many parts so many frames are cut: as many as its part of the work is worth, a multiple of the workers
    where they are few, none too short."""
    wanted = round(frames * PARTS_A_WORKER / max(1, share))
    count = min(max(wanted, math.ceil(frames / MOST_FRAMES)), frames // max(LEAST_GOPS * gop, LEAST_FRAMES))
    if wanted >= workers:  # it is worth every worker's time
        count = max(count // workers * workers, min(workers, frames // max(gop, LEAST_FRAMES)))
    return max(1, count)


def bounds(request: InferenceRequest, points: StartPoints) -> tuple[int, int]:
    """The numbers of the first frame that is wanted and of the first after it that is not."""
    first, unit = int(points.pts[0]), points.time_base

    def number(seconds: float) -> int:
        return points.index_of(first + math.ceil(Fraction(seconds).limit_denominator(_TIME_RESOLUTION) / unit))

    begin = 0 if request.start is None else number(request.start)
    end = len(points.pts) if request.end is None else number(request.end)
    if request.max_frames is not None:
        end = min(end, begin + request.max_frames)
    return begin, max(begin, end)


def cut(points: StartPoints, begin: int, end: int, count: int) -> tuple[Part, ...]:
    """The frames from number `begin` to `end` (exclusive) in about `count` parts that take about as long, each but the
    first with a GOP to be read ahead."""
    keys = [point.index for point in points.points if begin < point.index < end]
    lead = LEAD_SHARE * max(_LEAD_FRAMES, (end - begin) / (len(keys) + 1))
    length = max(1.0, (end - begin - lead) / count)
    starts = [begin]
    for key, following in pairwise([*keys, end]):
        is_nearest = 2 * (begin + lead + length * len(starts)) <= key + following
        if is_nearest and len(starts) < count:
            starts.append(key)
    ends = [*starts[1:], end]
    last = len(points.pts)
    return tuple(
        Part(
            number,
            _lead(points, start),
            int(points.pts[start]),
            int(points.pts[stop]) if stop < last else None,
            stop - start,
            is_cut=number > 0,
        )
        for number, (start, stop) in enumerate(zip(starts, ends, strict=True))
        if stop > start
    )


def _lead(points: StartPoints, start: int) -> StartPoint | None:
    """The keyframe a GOP before that of frame number `start`; None for the first of all."""
    own = max((point.index for point in points.points if point.index <= start), default=0)
    before = [point for point in points.points if point.index < own and start - point.index >= _LEAD_FRAMES]
    return before[-1] if len(before) > 1 else None

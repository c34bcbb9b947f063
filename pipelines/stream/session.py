"""`Session`: a source, a network and a mode's pipeline put together; `segment`, the way in for programs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from ...codec import TO_SDR, CompressedVideo, Frame, FrameSource
from ...data import FrameFolder, load_palette
from ...segnet import DEFAULT_MODEL
from ..errors import StreamError, StreamUsageError
from ..inputs import FrameWatch, LiveVideo, Patience, is_live, open_source, plan_reencode, reencoded, within
from ..modes import AUTO, MODES
from ..outputs import palette_of
from ..pipeline import Pipeline
from ..prediction import Prediction
from .breaking import Breaking
from .jobs import Part, Runners, SharesNetworks
from .live_queue import LatestAhead
from .request import InferenceRequest
from .resolving import codec_reads, resolve_mode
from .stats import StreamStats
from .workers import ReadAhead

READ_AHEAD = 8


class Session:
    """What a request asks for, opened: a context manager over `predictions`.

    `mode` and `options` are what is run, `reason` why the stream is encoded anew in memory (None where it is not), and
    `palette` what belongs to the classes. `say` is told, in a line each, what a user may want to know. `runners` holds
    the networks that sessions share, and `part` is the stretch of a file that is wanted, in place of the request's own
    bounds. Live sessions that share a network take `turns`, one for a frame.

    Raises StreamUsageError, or codec's, data's or segnet's errors, where the request or its input cannot work.
    """

    def __init__(
        self,
        request: InferenceRequest,
        say: Callable[[str], None] = lambda _: None,
        *,
        runners: SharesNetworks | None = None,
        part: Part | None = None,
        turns: AbstractContextManager[object] | None = None,
    ) -> None:
        self.request, self.stats, self.part = request, StreamStats(), part
        self._turns = nullcontext() if turns is None else turns
        self._is_interrupted = False
        self._reader: ReadAhead[tuple[Frame, bool]] | None = None
        reads = codec_reads(request)
        self.source: FrameSource = open_source(
            request.source,
            motion=reads.motion or reads.vectors,
            qp=reads.qp,
            references=reads.motion and request.reencode != "always",
            gop_max=request.gop_max,
            frame_rate=None if request.fps is None else Fraction(request.fps).limit_denominator(1001),
            stream=request.stream,
            patience=Patience(request.timeout, request.reconnect),
        )
        try:
            if part is not None and part.lead is not None and isinstance(self.source, CompressedVideo):
                self.source.start_at(part.lead)
            self._build(say, runners or Runners())
        except BaseException:
            self.source.close()
            raise

    def _build(self, say: Callable[[str], None], runners: SharesNetworks) -> None:
        request, source = self.request, self.source
        if isinstance(source, LiveVideo):
            source.on_gap = lambda gap: say(f"{source.name}: {gap}")
        if source.colour.is_hdr:
            raise StreamUsageError(f"{source.name}: is HDR (PQ or HLG), which networks are not made for; {TO_SDR}")
        self.mode, self.options = resolve_mode(request, source)
        self.runner = runners.of(request, source.size_hw)
        self.pipeline: Pipeline = MODES[self.mode].builder()(self.runner, self.options)
        with self._turns:
            self.pipeline.warm_up(source.size_hw)
        needs_motion = self.pipeline.needs_motion
        self.reason = plan_reencode(source, needs_motion=needs_motion, policy=request.reencode)
        self.palette = (
            palette_of(self.runner.classes, self.runner.network.weights_file)
            if request.palette is None
            else load_palette(request.palette)
        )
        self.watch = FrameWatch(source, source.name, say)
        self._frames: Iterable[Frame] = self.watch
        self._loading = 0.0  # milliseconds that the reader took to convert the last picture
        self._whole: Breaking[Frame] | None = None
        self.recovers_references = needs_motion and self.reason is None and source.motion_absence is not None
        if self.reason is not None:
            say(f"{source.name}: re-encoding in memory, GOP {request.gop}: {self.reason}")
            self._whole = Breaking(self._frames, self._load)
            self._frames = reencoded(self._whole, request.gop, source)
        elif self.recovers_references and source.motion_absence is not None:
            say(f"{source.name}: recovering references: {source.motion_absence.value}")

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the source, unless a read that cannot be broken off still holds it."""
        if self._reader is None or self._reader.is_stopped:
            self.source.close()

    def interrupt(self) -> None:
        """Have a live session in another thread end as by Ctrl-C, even where nothing comes from its source."""
        self._is_interrupted = True
        if self._reader is not None:
            self._reader.interrupt()

    def predictions(self, done: int = 0) -> Generator[Prediction, None, None]:
        """The predictions of all frames that the request wants but the first `done`, in display order.

        Frames are read in a thread of their own; with `live="latest"` those that come faster than they can be segmented
        are passed over. `stats` counts. The source is closed at the end. Where reading it fails, that is raised after
        the predictions of all frames before.
        """
        request = self.request
        inside = (
            within(self._frames, self.source.frame_rate, request.start, request.end, request.max_frames, done)
            if self.part is None
            else self._of_part(self.part)
        )
        wanted = Breaking(inside, lambda item: self._load(item[0]) if item[1] else None)
        reader = self._reader = (
            ReadAhead(wanted, READ_AHEAD, self._on_read)
            if request.live == "all"
            else LatestAhead(wanted, on_read=self._on_read)
        )
        try:
            with reader:
                for prediction in self._segmented(self._wanted(reader)):
                    self.stats.count(prediction)
                    yield prediction
            for frames in (self._whole, wanted):
                if frames is not None and frames.failure is not None:
                    raise frames.failure
        finally:
            if isinstance(reader, LatestAhead):
                self.stats.dropped_frames += reader.lost_frames
            self.close()

    def _of_part(self, part: Part) -> Iterator[tuple[Frame, bool]]:
        """Frames up to the end of `part`, each with whether it belongs to it. Damage before it is not counted."""
        has_begun = False
        for frame in self._frames:
            pts = 0 if frame.pts is None else frame.pts
            if part.end is not None and pts >= part.end:
                return
            if pts >= part.begin and not has_begun:
                has_begun = True
                if part.is_cut and not (frame.is_keyframe and pts == part.begin):
                    raise StreamError(f"{self.source.name}: no keyframe is decoded at {part.begin}; give --jobs 1")
                self.watch.corrupt_frames = int(frame.corrupt)
            yield frame, pts >= part.begin

    def _load(self, frame: Frame) -> None:
        """Convert pictures, or read still images, where the reader is, if it is known that they will be looked at.

        So it is done beside the network's work, and a damaged image ends the frames. A stage `rgb` counts it.
        """
        is_still = isinstance(self.source, FrameFolder)
        is_seen = self.request.live == "all" and self.pipeline.needs_image(frame)
        if frame.has_image or not (is_still or is_seen):
            return
        begin = time.perf_counter()
        _ = frame.image
        self._loading = (time.perf_counter() - begin) * 1e3
        if not is_still:
            self.stats.add("rgb", self._loading)

    def _on_read(self, milliseconds: float) -> None:
        """Called in the reader's thread after each frame."""
        loading, self._loading = self._loading, 0.0
        self.stats.add("read", milliseconds if isinstance(self.source, FrameFolder) else milliseconds - loading)

    def _segmented(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Each frame at once where the source is live, else several together where the mode gains by it."""
        if not is_live(self.request.source):
            yield from self.pipeline.run(frames)
            return
        for frame in frames:
            if self._is_interrupted:
                raise KeyboardInterrupt
            with self._turns:
                prediction = self.pipeline.step(frame)
            yield prediction

    def _wanted(self, reader: ReadAhead[tuple[Frame, bool]]) -> Iterator[Frame]:
        """The frames to segment; the others are shown to the pipeline in passing."""
        if self.request.live == "all":
            for frame, wanted in reader:
                if wanted:
                    yield frame
                else:
                    self.pipeline.skip(frame)
            return
        for (frame, wanted), passed in reader.latest():
            for older, was_wanted in passed:
                self.pipeline.skip(older)
                self.stats.dropped_frames += was_wanted
            if wanted:
                yield frame
            else:
                self.pipeline.skip(frame)


def segment(
    source: str | Path, *, mode: str = AUTO, model: str | Path = DEFAULT_MODEL, **options: Any
) -> Iterator[Prediction]:
    """Label every frame of `source`: predictions in display order, as soon as each is known.

    `source` is a video file, a folder or glob of still images, an address (http://, rtsp://), the number of a camera,
    or "-". `mode`, `model` and `options` are those of `segment-stream`, whose labels these are: options of the mode
    (`interval=12`, `lr_scale=0.5`), and `device`, `precision`, `runtime`, `palette`, `reencode`, `gop`, `gop_max`,
    `fps`, `stream`, `start`, `end`, `max_frames`, `live`, `timeout` and `reconnect`.

    The source is opened and the network loaded at once: raises StreamUsageError, or codec's, data's or segnet's errors
    (all of them `GopsegError`), where something of that cannot be. It is closed with the generator, or at its end.
    """
    names = {each.name for each in dataclasses.fields(InferenceRequest)} - {"options"}
    common = {name: options.pop(name) for name in list(options) if name in names}
    request = InferenceRequest(source=str(source), mode=mode, model=str(model), options=options, **common)
    return _predictions(Session(request))


def _predictions(session: Session) -> Iterator[Prediction]:
    with session:
        for prediction in session.predictions():
            yield prediction if session.request.palette is None else replace(prediction, palette=session.palette)

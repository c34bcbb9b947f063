"""`FfmpegProcess`: one run of an ffmpeg binary, raw pictures in by a pipe, coded packets back by another."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

import av
from av.video.stream import VideoStream

from ...codec import (
    ColourTags,
    Comparison,
    EncodeError,
    Pictures,
    RateClock,
    Transcoded,
    disk_errors,
    file_url,
    x264_version,
)


class FfmpegProcess:
    """Gives pictures to ffmpeg and writes what comes back as an MP4 with the pictures' exact timestamps.

    NUT carries both ways, as it holds raw pictures and any unit of time. Three threads keep the pipes moving: the
    caller's feeds by `put`, one muxes and compares each decoded picture with the one that was fed, one keeps ffmpeg's
    messages. ffmpeg is told times of `clock`; the file has the true ones. `part` is the file to write, None for a pass
    whose output nobody wants; errors name `path`, the file that it will become. A context manager; leaving it without
    `finish` ends the process.
    """

    def __init__(
        self,
        command: list[str],
        pictures: Pictures,
        options: Mapping[str, str],
        filters: Callable[[str], str],
        path: Path,
        part: Path | None,
        clock: RateClock,
    ) -> None:
        import ffmpeg

        self._path, self._part, self._pictures = path, part, pictures
        options = {**options, "vf": filters(_tags(pictures.colour, pictures.sample_aspect)), "fps_mode": "passthrough"}
        node = ffmpeg.input("pipe:0", format="nut")
        if part is None:
            node = node.output("pipe:1", format="null", **options)
        else:
            node = node.output("pipe:1", format="nut", flags="+global_header", **options)
        self._process: subprocess.Popen[bytes] = node.run_async(
            cmd=command, pipe_stdin=True, pipe_stdout=True, pipe_stderr=True
        )
        self._fed: deque[_Fed] = deque()
        self._clock = clock
        self._result = Transcoded(pictures.size_hw)
        self._error: BaseException | None = None
        self._messages: deque[str] = deque(maxlen=50)
        self._input: Any = None
        self._count = 0
        self._threads = [threading.Thread(target=self._keep_messages, daemon=True)]
        if part is not None:
            self._threads.append(threading.Thread(target=self._take, daemon=True))
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> FfmpegProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        if self._input is not None:
            with suppress(OSError, av.FFmpegError):
                self._input.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def put(self, picture: av.VideoFrame, duration: int) -> None:
        """Feed one picture, shown for `duration` units of the time base; EncodeError where ffmpeg has ended."""
        if self._input is None:
            self._input, self._stream = self._open_input(picture)
        fed = _Fed(picture, picture.pts or 0, duration, self._clock.place(duration))
        if self._part is not None:
            self._fed.append(fed)
        picture.pts = fed.clock
        self._count += 1
        try:
            self._input.mux(self._stream.encode(picture))
            self._pipe.raise_failure()
        except (av.FFmpegError, OSError) as error:
            raise self._failure() from error

    def _open_input(self, picture: av.VideoFrame) -> tuple[Any, VideoStream]:
        assert self._process.stdin is not None
        self._pipe = _Pipe(self._process.stdin)
        container = av.open(self._pipe, "w", format="nut")
        stream = container.add_stream("rawvideo", rate=self._pictures.frame_rate)
        stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, picture.format.name
        stream.codec_context.time_base = stream.time_base = self._pictures.time_base
        return container, stream

    def finish(self) -> Transcoded:
        """Wait for ffmpeg and close the file; raises EncodeError where it failed or lost frames."""
        assert self._process.stdin is not None
        try:
            if self._input is not None:
                self._input.close()
                self._input = None
                self._pipe.raise_failure()
            self._process.stdin.close()
        except (av.FFmpegError, OSError) as error:
            raise self._failure() from error
        for thread in self._threads:
            thread.join()
        if self._process.wait() != 0 or self._error is not None:
            raise self._failure()
        if self._part is not None and len(self._result.packet_bytes) != self._count:
            raise EncodeError(
                f"{self._path}: ffmpeg gave {len(self._result.packet_bytes)} frames for {self._count}; "
                "give another --encoder, or take --engine av"
            )
        return self._result

    def _failure(self) -> EncodeError:
        """Why ffmpeg ended early, by the error on our side or its last message."""
        if isinstance(self._error, EncodeError):
            return self._error
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._threads[0].join(5)
        said = [re.sub(r"^\[[^\]]*\] *", "", line) for line in self._messages]
        cause = said[0] if said else self._error or f"exit status {self._process.returncode}"
        return EncodeError(f"{self._path}: ffmpeg failed ({cause}); give another --encoder, or take --engine av")

    def _keep_messages(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if text := line.decode(errors="replace").strip():
                self._messages.append(text)

    def _take(self) -> None:
        """Mux and measure all that comes back; after an error the process is ended, so that no `put` waits forever."""
        assert self._process.stdout is not None
        try:
            self._mux(self._process.stdout)
        except BaseException as error:
            self._error = error
            self._process.kill()

    def _mux(self, pipe: IO[bytes]) -> None:
        result, path, part = self._result, self._path, self._part
        assert part is not None
        with av.open(pipe, "r", format="nut") as coded:
            stream = coded.streams.video[0]
            unit = stream.time_base or Fraction(1)
            stream.thread_type = "SLICE"  # frames come at once, so that few pictures wait to be compared
            comparison, shown = Comparison(result.size_hw), deque[av.VideoFrame]()
            with disk_errors(path):
                target = av.open(file_url(part), "w", format="mp4", options={"movflags": "+faststart"})
            first: Fraction | None = None
            try:
                track = target.add_stream_from_template(stream, opaque=False)
                track.time_base = self._pictures.time_base
                for packet in coded.demux(stream):
                    if packet.size:
                        fed = self._fed.popleft()
                        shown.append(fed.picture)
                    for decoded in stream.codec_context.decode(packet if packet.size else None):
                        comparison.add(decoded, shown.popleft())
                    if not packet.size:
                        continue
                    if not result.packet_bytes:
                        result.x264 = x264_version(bytes(packet))
                    at = (packet.pts or 0) * unit
                    first = at if first is None else first
                    if packet.pts != packet.dts or at - first != fed.clock * self._pictures.time_base:
                        raise EncodeError(
                            f"{path}: ffmpeg moved frame {len(result.packet_bytes)} in time; give another --encoder, "
                            "or take --engine av"
                        )
                    result.packet_bytes.append(packet.size)
                    packet.stream = track
                    packet.pts = packet.dts = fed.pts
                    packet.duration, packet.time_base = fed.duration, self._pictures.time_base
                    with disk_errors(path):
                        target.mux_one(packet)
            finally:
                with disk_errors(path):
                    target.close()
        errors = comparison.errors
        result.psnr_db, result.worst_frame = errors.psnr_db, errors.worst_frame
        result.median_psnr_db = errors.median_psnr_db
        result.ssim = round(comparison.ssim, 6)


class _Fed(NamedTuple):
    """A picture that ffmpeg was given, its time and duration, and its time by the clock that ffmpeg was told."""

    picture: av.VideoFrame
    pts: int
    duration: int
    clock: int


class _Pipe:
    """Hands FFmpeg a pipe to write to, and keeps what it raises: FFmpeg's C code would lose an interrupt."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._failure: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            if self._failure is None:
                self._file.write(data)
        except BaseException as error:
            self._failure = error
        return len(data)

    def raise_failure(self) -> None:
        """Raise what went wrong since the last call."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


def _tags(colour: ColourTags, sample_aspect: Fraction | None) -> str:
    """Filters that tell how the raw pictures are to be read."""
    text = (
        f"setparams=range={2 if colour.full_range else 1}:colorspace={colour.matrix}"
        f":color_primaries={colour.primaries}:color_trc={colour.transfer}"
    )
    return text if not sample_aspect else f"{text},setsar={sample_aspect}"

"""What can be opened, and what the errors say about what cannot."""

from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from gopseg.codec import CodecError, InvalidDataError, SourceError, open_video, source_files
from gopseg.codec.reading.container import opening

COUNT = "from gopseg.codec import open_video\nv = open_video('-')\nprint(v.name, v.size_hw, sum(1 for _ in v))"


def error_of(source: Any) -> CodecError:
    with pytest.raises(CodecError) as caught:
        open_video(source)
    message = str(caught.value)
    assert "\n" not in message
    assert "; " in message, "the way out is missing"
    return caught.value


def test_path_string_and_file_like_agree(sliding_clip: Path) -> None:
    with (
        open_video(sliding_clip) as by_path,
        open_video(str(sliding_clip)) as by_name,
        sliding_clip.open("rb") as file,
        open_video(file) as by_file,
        open_video(io.BytesIO(sliding_clip.read_bytes())) as by_bytes,
    ):
        assert by_path.name == by_name.name == by_file.name == str(sliding_clip)
        assert by_bytes.name == "<BytesIO>"
        for frames in zip(by_path, by_name, by_file, by_bytes, strict=True):
            assert len({(f.pts, f.packet_bytes, f.image.tobytes()) for f in frames}) == 1


def test_a_colon_in_a_name_is_no_protocol(sliding_clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "12:30 front%03d.mp4"
    path.write_bytes(sliding_clip.read_bytes())
    with open_video(path) as video:
        assert sum(1 for _ in video) == 24


def test_a_pipe_waits_for_its_writer_and_says_so(
    sliding_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(opening, "_PATIENCE_SECONDS", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    stream = tmp_path / "x.ts"
    with av.open(str(sliding_clip)) as source, av.open(str(stream), "w") as target:
        track = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                target.mux(packet)
    writer = threading.Timer(0.5, lambda: pipe.write_bytes(stream.read_bytes()))
    writer.start()
    with open_video(pipe) as video:
        assert (video.name, sum(1 for _ in video)) == (str(pipe), 24)
    writer.join()
    assert caplog.messages == [f"{pipe}: is a pipe that nobody writes to yet; waiting for that (Ctrl-C ends it)"]
    assert source_files(pipe) == ()


@pytest.mark.parametrize(
    ("segment", "key", "text"),
    [
        ("x.ts.tmp", "", "lists a file that FFmpeg refuses by its name (URL "),
        ("x.ts", '#EXT-X-KEY:METHOD=AES-128,URI="k.key"', "Keys of encrypted ones are not read from files: ffmpeg"),
    ],
)
def test_what_a_playlist_lists_and_ffmpeg_refuses(
    sliding_clip: Path, tmp_path: Path, segment: str, key: str, text: str
) -> None:
    (tmp_path / "k.key").write_bytes(bytes(16))
    with av.open(str(sliding_clip)) as source, av.open(str(tmp_path / segment), "w", format="mpegts") as target:
        track = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                target.mux(packet)
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", *([key] if key else []), "#EXTINF:0.96,", segment, "#EXT-X-ENDLIST"]
    (tmp_path / "x.m3u8").write_text("\n".join(lines) + "\n")
    assert text in str(error_of(tmp_path / "x.m3u8"))


def test_an_interrupt_ends_the_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            open_video(tmp_path / "pipe")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_standard_input_from_a_file_and_a_pipe(make: Any, sliding_clip: Path) -> None:
    with sliding_clip.open("rb") as file:
        done = subprocess.run([sys.executable, "-c", COUNT], stdin=file, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "standard input (144, 176) 24"
    stream = make.clip("piped.ts", make.sliding(144, 176, 24, (3, 2)), profile="ippp").read_bytes()
    piped = subprocess.run([sys.executable, "-c", COUNT], input=stream, capture_output=True, check=True)
    assert piped.stdout.decode().strip() == "standard input (144, 176) 24"


class Pipe(io.RawIOBase):
    """Bytes that can only be read forwards, and an error in the middle where one is asked for."""

    def __init__(self, data: bytes, fail_at: int | None = None, error: BaseException | None = None) -> None:
        self._data, self._fail_at, self._error = io.BytesIO(data), fail_at, error

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._fail_at is not None and self._data.tell() >= self._fail_at and self._error is not None:
            raise self._error
        return self._data.read(min(size, 700))


def test_a_pipe_with_an_mp4_whose_index_is_last(make: Any) -> None:
    frames = [make.texture(144, 176, seed) for seed in range(12)]  # large enough that the index is not read ahead
    path = make.clip("index_last.mp4", frames, profile="ippp", options={"qp": "4"})
    data = path.read_bytes()
    error = error_of(Pipe(data))
    assert isinstance(error, InvalidDataError)
    assert "faststart" in str(error)
    front = make.clip("index_first.mp4", frames, options={"qp": "4"}, container_options={"movflags": "+faststart"})
    assert sum(1 for _ in open_video(Pipe(front.read_bytes()))) == 12


@pytest.mark.parametrize("error", [OSError("cable pulled"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_what_a_file_like_raises_comes_out(make: Any, error: BaseException) -> None:
    """FFmpeg's C code sits between: an interrupt must not become the end of the file."""
    path = make.clip("long.ts", make.sliding(144, 176, 96, (3, 2)), profile="ippp", options={"qp": "14"})
    data = path.read_bytes()
    seen = []
    kind = SourceError if isinstance(error, Exception) else KeyboardInterrupt
    with pytest.raises(kind, match="cable pulled" if kind is SourceError else None):
        seen.extend(frame.index for frame in open_video(Pipe(data, len(data) * 9 // 10, error)))
    assert seen


def test_a_text_mode_file(sliding_clip: Path) -> None:
    with sliding_clip.open("r", encoding="latin-1") as file:
        assert "binary mode" in str(error_of(file))


@pytest.fixture
def address(sliding_clip: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(sliding_clip.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address(address: str, sliding_clip: Path) -> None:
    with open_video(f"{address}/{sliding_clip.name}") as video:
        assert sum(1 for _ in video) == 24
    error = error_of(f"{address}/absent.mp4")
    assert isinstance(error, SourceError)
    assert "absent.mp4" in str(error)


def test_an_mp4_at_an_address_without_parts_of_files(address: str, sliding_clip: Path, make: Any) -> None:
    """Python's server knows no ranges; the index of an MP4 that FFmpeg wrote lies behind the data."""
    behind = sliding_clip.with_name("behind.mp4")
    path = make.clip("long.mp4", make.sliding(144, 176, 96, (3, 2)), profile="ippp", options={"qp": "14"})
    behind.write_bytes(path.read_bytes())
    error = error_of(f"{address}/behind.mp4")
    assert isinstance(error, SourceError)
    assert "index lies behind its data" in str(error)


def test_a_dash_manifest(tmp_path: Path) -> None:
    path = tmp_path / "live.mpd"
    path.write_text('<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>\n')
    assert "DASH manifest" in str(error_of(path))


def test_an_unknown_protocol_and_a_closed_port() -> None:
    assert "Protocol not found" in str(error_of("foo://camera"))
    assert "refused" in str(error_of("http://127.0.0.1:9/x.mp4"))


def test_missing_file(tmp_path: Path) -> None:
    error = error_of(tmp_path / "absent.mp4")
    assert isinstance(error, SourceError)
    assert isinstance(error, OSError)
    assert "no such file" in str(error)


def test_folder(tmp_path: Path) -> None:
    error = error_of(tmp_path)
    assert isinstance(error, SourceError)
    assert "folder" in str(error)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(b"x")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission" in str(error_of(path))


def test_zero_byte_file(tmp_path: Path) -> None:
    path = tmp_path / "zero.mp4"
    path.touch()
    error = error_of(path)
    assert isinstance(error, InvalidDataError)
    assert "0 bytes" in str(error)


@pytest.mark.parametrize("content", [b"these are words, not a video\n" * 40, bytes(range(256)) * 99, b"\0" * 5000])
def test_not_a_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.mp4"
    path.write_bytes(content)
    for source in (path, io.BytesIO(content)):
        error = error_of(source)
        assert isinstance(error, InvalidDataError)
        assert ("text.mp4" if source is path else "<BytesIO>") in str(error)


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.97])
def test_truncated_mp4(make: Any, tmp_path: Path, keep: float) -> None:
    data = make.clip("to_cut.mp4", make.sliding(144, 176, 24, (3, 2)), profile="ippp").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: max(int(len(data) * keep), 100)])
    error = error_of(path)
    assert isinstance(error, InvalidDataError)
    assert "cut off" in str(error)


def test_truncated_mp4_with_its_index_in_front_gives_what_is_there(make: Any, tmp_path: Path) -> None:
    source = make.clip(
        "front.mp4",
        make.sliding(144, 176, 24, (3, 2)),
        profile="ippp",
        options={"qp": "10"},
        container_options={"movflags": "+faststart"},
    )
    path = tmp_path / "cut.mp4"
    path.write_bytes(source.read_bytes()[: source.stat().st_size * 7 // 10])
    with open_video(path) as video, open_video(source) as whole:
        pairs = list(zip(video, whole, strict=False))
    assert 8 < len(pairs) < 24
    assert all(np.array_equal(a.image, b.image) for a, b in pairs[:-1])


def write_audio(path: Path, cover: np.ndarray | None = None) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        picture = None
        if cover is not None:
            picture = container.add_stream("mjpeg", rate=1)
            picture.height, picture.width, picture.pix_fmt = *cover.shape[:2], "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        for index in range(20):
            sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            sound.rate, sound.pts = 44100, index * 1024
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
        if picture is not None:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(cover)))
            container.mux(picture.encode(None))
    return path


def test_audio_only(tmp_path: Path, make: Any) -> None:
    error = error_of(write_audio(tmp_path / "sound.mp4"))
    assert isinstance(error, InvalidDataError)
    assert "has no video, only audio" in str(error)
    with_cover = write_audio(tmp_path / "cover.mp4", make.texture(64, 64))
    assert "has no video, only audio" in str(error_of(with_cover))


def test_no_frame_that_decodes(make: Any, tmp_path: Path) -> None:
    path = make.clip("few.mp4", make.sliding(96, 128, 6, (2, 1)), profile="ippp")
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for place, size in packets:
        data[place : place + size] = bytes([0xFF]) * size
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    assert "not one frame" in str(error_of(broken))


def test_not_a_source() -> None:
    assert "no video source" in str(error_of(3.5))
    assert "no video source" in str(error_of(None))

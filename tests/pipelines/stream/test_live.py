"""Live sources: drops, stalls and returns over HTTP and RTSP, cameras, and a network slower than the stream."""

from __future__ import annotations

import json
import queue
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from gopseg.codec import Frame, SourceError, open_video
from gopseg.pipelines import MODES
from gopseg.pipelines.inputs import LiveVideo, open_source, reencoded
from gopseg.pipelines.stream.live_queue import LatestAhead
from tests.pipelines.stream.serving import Server, send

GOP = 6


@pytest.fixture
def transport(tmp_path, make_clip, square_images) -> bytes:
    """48 frames, a keyframe every 6."""
    return make_clip(tmp_path / "x.ts", square_images * 4, container="mpegts").read_bytes()


class Planned(Server):
    """Answers each connection by the next of `plan`: the bytes to send, and seconds to hold on for afterwards."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.plan: list[tuple[bytes, float]] = []
        self.address += "/live.ts"

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        if not self.plan:
            return request.send_error(503)
        data, hold = self.plan.pop(0)
        send(request, data)
        self.released.wait(hold)
        return None


@pytest.fixture
def server() -> Iterator[Planned]:
    server = Planned()
    yield server
    server.close()


def live(address: str, reconnect: int, timeout: float = 5.0) -> LiveVideo:
    options = {"rw_timeout": str(round(timeout * 1e6))}
    return LiveVideo(lambda: open_video(address, options=options), reconnect=reconnect, timeout_seconds=timeout)


def cut(data: bytes, share: float) -> bytes:
    """The first part of a transport stream, in whole packets of 188 bytes."""
    return data[: round(len(data) * share) // 188 * 188]


def test_a_drop_is_connected_again_at_a_keyframe(server: Planned, transport: bytes) -> None:
    late = transport[len(cut(transport, 0.55)) :]  # begins inside a GOP
    server.plan = [(cut(transport, 0.4), 0), (transport[:376] + late, 0)]
    told = []
    with live(server.address, reconnect=1) as source:
        source.on_gap = told.append
        frames = []
        with pytest.raises(SourceError, match="1 attempts to connect again failed"):
            frames.extend(source)
    (gap,) = source.gaps
    assert told == [gap]
    assert (gap.attempts, source.connections) == (1, 2)
    assert 0.5 <= gap.seconds < 10
    first = frames[gap.after_frames]
    assert first.is_keyframe
    assert 12 < gap.after_frames < 24
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert (len(frames) - gap.after_frames) % GOP == 0, "the rest is whole GOPs"
    times = [frame.pts * frame.time_base for frame in frames]
    steps = [float(b - a) for a, b in pairwise(times)]
    assert steps[gap.after_frames - 1] == pytest.approx(gap.seconds, abs=0.3)
    del steps[gap.after_frames - 1]
    assert all(step == pytest.approx(0.04, abs=1e-3) for step in steps)


def test_attempts_are_counted_and_end(server: Planned, transport: bytes) -> None:
    server.plan = [(cut(transport, 0.5), 0), (b"no video", 0), (transport, 0)]
    with live(server.address, reconnect=2) as source:
        frames = []
        with pytest.raises(SourceError, match=f"{server.address}: .*2 attempts") as caught:
            frames.extend(source)
        assert "\n" not in str(caught.value)
    assert [gap.attempts for gap in source.gaps] == [2]
    assert len(frames) - source.gaps[0].after_frames == 48


def test_a_stall_times_out(server: Planned, transport: bytes) -> None:
    server.plan = [(cut(transport, 0.5), 60), (transport, 60)]
    with live(server.address, reconnect=1, timeout=0.8) as source:
        frames = []
        with pytest.raises(SourceError, match="timed out"):
            frames.extend(source)
    assert len(source.gaps) == 1
    assert "timed out" in source.gaps[0].cause
    assert source.gaps[0].seconds > 0.8 + 0.5, "the time without data, and the pause"
    assert len(frames) > 48


def test_without_reconnect_an_end_is_an_end(server: Planned, transport: bytes) -> None:
    server.plan = [(transport, 0)]
    with live(server.address, reconnect=0) as source:
        assert [frame.index for frame in reads(source)] == list(range(48))
        assert source.gaps == []


def reads(source: LiveVideo) -> Iterator[Frame]:
    """Frames until the server's end, which FFmpeg may call an error where no length was announced."""
    try:
        yield from source
    except SourceError:
        return


def test_another_size_is_no_return(server: Planned, transport: bytes, tmp_path, make_clip) -> None:
    other = make_clip(tmp_path / "o.ts", [np.zeros((48, 80, 3), np.uint8)] * 12, container="mpegts").read_bytes()
    server.plan = [(cut(transport, 0.5), 0), (other, 0)]
    with (
        live(server.address, reconnect=3) as source,
        pytest.raises(SourceError, match="came back as 80x48 after 96x64"),
    ):
        list(source)


def test_re_encoding_starts_a_gop_with_each_connection(server: Planned, transport: bytes) -> None:
    server.plan = [(cut(transport, 0.5), 0), (transport, 0)]
    with live(server.address, reconnect=1) as source:
        frames = []
        with pytest.raises(SourceError):
            frames.extend(reencoded(source, 250, source))
    assert [frame.index for frame in frames if frame.is_keyframe] == [0, source.gaps[0].after_frames]


def test_the_command_reports_gaps(stream, tmp_path: Path, server: Planned, transport: bytes) -> None:
    server.plan = [(cut(transport, 0.5), 0), (transport, 0)]
    result = stream(server.address, "--reconnect", "1", "--timeout", "5", "--stats", "s.json", "--save", "labels")
    assert result.exit_code == 1  # the second drop has no return; everything before it is kept
    assert "gap of" in result.stderr
    assert "connected again at attempt 1" in result.stderr
    assert "the outputs hold the frames before that" in result.stderr
    stats = json.loads((tmp_path / "s.json").read_text())
    (gap,) = stats["gaps"]
    assert gap.keys() == {"after_frames", "seconds", "cause", "attempts"}
    assert stats["frames"] == gap["after_frames"] + 48 == len(list((tmp_path / "live_segmented_labels").iterdir()))


def is_waiting(process: subprocess.Popen[bytes]) -> bool:
    """Whether all its threads sleep and hardly work in a while: a busy machine may only have left it out."""
    looks = []
    for pause in (0.3, 0):
        stats = [
            file.read_text().rpartition(")")[2].split() for file in Path(f"/proc/{process.pid}/task").glob("*/stat")
        ]
        looks.append(({stat[0] for stat in stats}, sum(int(stat[11]) + int(stat[12]) for stat in stats)))
        time.sleep(pause)
    (before, ticks), (after, more_ticks) = looks
    return before | after == {"S"} and more_ticks <= ticks + 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_stall_on_standard_input_is_told(model_file: Path, tmp_path: Path, transport: bytes) -> None:
    common = ["--model", model_file, "--device", "cpu", "--precision", "fp32", "--timeout", "0.5", "--stats", "s.json"]
    code = "from gopseg.pipelines.stream.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "-", "--save", "rle", "-o", "x.mp4", *map(str, common)],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    half = len(cut(transport, 0.5))
    process.stdin.write(transport[:half])
    process.stdin.flush()
    deadline = time.monotonic() + 300
    while not (any(tmp_path.glob(".x*.part-*")) and is_waiting(process)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    since = time.monotonic()
    time.sleep(1.5)
    held = time.monotonic() - since
    error = process.communicate(transport[half:], timeout=120)[1].decode()
    assert process.returncode == 0, error
    assert "it went on by itself" in error
    stats = json.loads((tmp_path / "s.json").read_text())
    ours = [gap for gap in stats["gaps"] if gap["seconds"] >= held]  # a busy machine may make shorter ones
    assert (stats["frames"], len(ours), ours[0]["attempts"]) == (48, 1, 0)


def test_a_camera_that_is_not_there(stream, tmp_path: Path) -> None:
    result = stream("77")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "camera 77: " in result.stderr
    assert "/dev/video77" in result.stderr or "v4l2" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_camera_is_opened_by_v4l2(monkeypatch: pytest.MonkeyPatch, square_clip: Path) -> None:
    asked = {}

    def opened(source: Any, **options: Any) -> Any:
        asked.update(source=source, **options)
        return open_video(square_clip)

    monkeypatch.setattr("gopseg.pipelines.inputs.opening.open_video", opened)
    monkeypatch.setattr("gopseg.pipelines.inputs.opening._CAMERAS", "mp4")  # a format that every build has
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: str(self) == "/dev/video3" or exists(self))
    with open_source("3", motion=True, frame_rate=Fraction(25)) as source:
        assert isinstance(source, LiveVideo)
        assert len(list(source)) == 12
    assert (asked["source"], asked["format"]) == ("/dev/video3", "v4l2")


def test_reconnecting_needs_something_to_connect_to(stream, square_clip: Path) -> None:
    result = stream(square_clip, "--reconnect", "2")
    assert (result.exit_code, "cannot be connected to again" in result.stderr) == (2, True)


def read_all(ahead: LatestAhead) -> None:
    ahead._thread.join(10)
    assert ahead.is_stopped


def test_latest_never_holds_the_stream_up(square_clip: Path) -> None:
    with open_video(square_clip) as video, LatestAhead(((frame, True) for frame in video), 64) as ahead:
        read_all(ahead)
        ((frame, _), passed), *rest = ahead.latest()
    assert (frame.index, [older.index for older, _ in passed], rest) == (11, list(range(11)), [])
    assert ahead.lost_frames == 0


def test_latest_gives_the_chain_up_until_a_keyframe(square_clip: Path) -> None:
    """12 frames, keyframes 0 and 6, room for 8: 6 and 7 fit behind 0 to 5, then room is made by the next keyframe."""
    with open_video(square_clip) as video:
        frames = list(video)
    wanted = [(frame, True) for frame in [*frames, *frames]]
    ahead = LatestAhead(wanted, 8)
    for item in wanted[:12]:
        ahead._put(item)
    assert (ahead._queue.qsize(), ahead.lost_frames) == (8, 4)  # 0 to 7 wait, 8 to 11 are lost
    ahead._put(wanted[12])  # a keyframe
    assert (ahead._queue.qsize(), ahead.lost_frames) == (1, 12)
    ahead._put(wanted[13])
    assert [ahead._queue.get_nowait()[0].distance for _ in range(2)] == [0, 1]
    with pytest.raises(queue.Empty):
        ahead._queue.get_nowait()


def test_motion_is_chained_through_what_latest_passes_over(square_clip: Path, runner) -> None:
    with open_video(square_clip) as video:
        frames = list(video)
    whole = list(MODES["motion"].pipeline(runner).run(frames))
    pipeline, seen = MODES["motion"].pipeline(runner), {}
    with LatestAhead([(frame, True) for frame in frames[:5]], 64) as ahead:
        read_all(ahead)
        for (frame, _), passed in ahead.latest():
            for older, _ in passed:
                pipeline.skip(older)
            seen[frame.index] = pipeline.step(frame)
    assert list(seen) == [4]
    assert np.array_equal(seen[4].labels, whole[4].labels)


RTSP_SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(f"( filesrc location={sys.argv[2]} ! qtdemux ! rtph264pay name=pay0 pt=96 config-interval=-1 )")
factory.set_shared(False)
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


@pytest.fixture
def rtsp(tmp_path: Path, make_clip, square_images) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts an RTSP server of a clip of two seconds, in real time, always on the same port."""
    python = shutil.which("python3", path="/usr/bin")
    script = tmp_path / "server.py"
    script.write_text(RTSP_SERVER)
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if python is None or subprocess.run([python, "-c", check], capture_output=True).returncode:
        pytest.skip("no RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good python3-gi")
    clip = make_clip(tmp_path / "cam.mp4", square_images * 4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        server = subprocess.Popen([python, script, str(port), clip], stdout=subprocess.PIPE, text=True)
        started.append(server)
        assert server.stdout.readline() == "ready\n"
        return server

    start.address = f"rtsp://127.0.0.1:{port}/cam"  # type: ignore[attr-defined]
    yield start
    for server in started:
        server.kill()
        server.wait()


def test_rtsp(stream, tmp_path: Path, rtsp) -> None:
    rtsp()
    result = stream(rtsp.address, "--stats", "s.json", "--timeout", "5", "--live", "latest", "--mode", "motion")
    assert result.exit_code == 0, result.stderr
    stats = json.loads((tmp_path / "s.json").read_text())
    assert (stats["mode"], stats["reencoded"], stats["codec"], stats["size_hw"]) == ("motion", False, "h264", [64, 96])
    assert 36 <= stats["frames"] + stats["dropped_frames"] <= 48
    assert (tmp_path / "cam_segmented.mp4").exists()


def test_rtsp_is_connected_again(rtsp) -> None:
    first = rtsp()
    frames: list[Frame] = []
    source = open_source(rtsp.address, motion=True, frame_rate=Fraction(25))
    assert isinstance(source, LiveVideo)
    source._reconnect, source._is_endless = 6, True  # a camera would not announce a length
    with source:
        for frame in source:
            frames.append(frame)
            if len(frames) == 10:
                first.kill()
                first.wait()
                rtsp()
            if source.gaps and len(frames) >= source.gaps[0].after_frames + 10:
                break
    assert frames[source.gaps[0].after_frames].is_keyframe
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(a.pts < b.pts for a, b in pairwise(frames))


def test_ffmpeg_piped_in(model_file: Path, tmp_path: Path, square_clip: Path) -> None:
    """`ffmpeg ... | segment-stream -`, as the README has it."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("no ffmpeg on PATH (apt-get install ffmpeg)")
    feeder = subprocess.Popen(
        [ffmpeg, "-v", "error", "-i", square_clip, "-c", "copy", "-f", "mpegts", "-"], stdout=subprocess.PIPE
    )
    code = "from gopseg.pipelines.stream.main import main; main()"
    common = ["--model", model_file, "--device", "cpu", "--precision", "fp32", "-o", "x.mp4"]
    run = subprocess.run(
        [sys.executable, "-c", code, "-", *map(str, common)], cwd=tmp_path, stdin=feeder.stdout, capture_output=True
    )
    assert (feeder.wait(), run.returncode) == (0, 0), run.stderr
    with av.open(str(tmp_path / "x.mp4")) as container:
        assert len(list(container.decode(video=0))) == 12


def answer_with_pictures(request: BaseHTTPRequestHandler) -> None:
    """Multipart JPEG, as cameras send it: twelve pictures, five a second, no word on times."""
    send(request, b"", Content_Type="multipart/x-mixed-replace; boundary=next")
    for index in range(12):
        picture = cv2.imencode(".jpg", np.full((48, 64, 3), 10 * index, np.uint8))[1].tobytes()
        head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
        request.wfile.write(head.encode() + picture + b"\r\n")
        request.wfile.flush()
        time.sleep(0.2)
    request.wfile.write(b"--next--\r\n")


@pytest.fixture
def camera() -> Iterator[str]:
    server = Server(answer_with_pictures)
    yield f"{server.address}/video.mjpg"
    server.close()


def test_pictures_without_times_get_those_of_their_arrival(camera: str) -> None:
    begin = time.monotonic()
    with open_source(camera, motion=False) as source:
        frames = list(source)
    took = time.monotonic() - begin
    times = [float(frame.pts * frame.time_base) for frame in frames if frame.pts is not None]
    assert len(times) == 12
    assert all(b > a for a, b in pairwise(times))
    assert 1.7 < times[-1] < took
    assert all(b - a > 0.05 for a, b in pairwise(times)), "also those that came while it was opened"


def test_a_reader_that_was_busy_does_not_squeeze_them(camera: str) -> None:
    """As while the network is loaded after the first picture."""
    times = []
    with open_source(camera, motion=False) as source:
        for frame in source:
            assert frame.pts is not None
            times.append(float(frame.pts * frame.time_base))
            if len(times) in (1, 6):
                time.sleep(0.7)
    assert len(times) == 12
    assert 1.7 < times[-1] < 4
    assert all(b - a > 0.1 for a, b in pairwise(times)), times


def test_a_rate_that_is_given_goes_before_the_clock(camera: str) -> None:
    with open_source(camera, motion=False, frame_rate=Fraction(4)) as source:
        assert [frame.pts * frame.time_base for frame in source] == [Fraction(index, 4) for index in range(12)]

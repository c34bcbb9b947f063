"""Times of display: clocks that jump or wrap, decode times only, no times at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from gopseg.codec import EncodeSettings, Frame, TimeJump, open_video, pictures_of_video, transcode
from tests.codec.conftest import sliding, write_clip

RATE = 15
STEP = Fraction(1, RATE)
Times = Callable[[int], int]


def remux(source: Path, target: Path, shift: Times = lambda _: 0, keep: Callable[[int], bool] = lambda _: True) -> Path:
    """Copy packets as they are; `shift` is what packet n moves by, in units of 1/15 s, `keep` whether it is copied."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        is_avi = target.suffix == ".avi"
        stream.time_base = STEP if is_avi else given.streams.video[0].time_base
        filters = BitStreamFilterContext("h264_mp4toannexb" if is_avi else "null", given.streams.video[0])
        for index, packet in enumerate(packet for packet in given.demux(video=0) if packet.size):
            assert packet.pts is not None
            assert packet.dts is not None
            by = round(shift(index) * STEP / packet.time_base)
            packet.pts, packet.dts = packet.pts + by, packet.dts + by
            for copied in filters.filter(packet) if keep(index) else []:
                copied.stream = stream
                made.mux(copied)
    return target


def join(parts: Iterable[Path], target: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def read(path: Path, **options: Any) -> tuple[list[Frame], list[TimeJump]]:
    with open_video(path, **options) as video:
        return list(video), video.time_jumps


def seconds(frames: Iterable[Frame]) -> list[Fraction]:
    """Times from the first frame."""
    times = [frame.pts * frame.time_base for frame in frames if frame.pts is not None]
    return [time - times[0] for time in times]


def uniform(count: int) -> list[Any]:
    return [pytest.approx(float(index * STEP), abs=1e-3) for index in range(count)]


@pytest.fixture(params=["ippp", "bframes"])
def clip(request: pytest.FixtureRequest, make: Any) -> Path:
    """24 frames at 15 a second, GOP 12."""
    return make.clip("clip.mp4", make.sliding(96, 128, 24, (2, 1)), rate=RATE, profile=request.param)


def test_a_clock_that_begins_anew(clip: Path, tmp_path: Path) -> None:
    part = remux(clip, tmp_path / "part.ts")
    frames, jumps = read(join([part, part, part], tmp_path / "joined.ts"))
    assert [float(time) for time in seconds(frames)] == uniform(72)
    assert [(jump.index, round(jump.seconds, 3)) for jump in jumps] == [(24, -1.6), (48, -1.6)]
    assert [frame.index for frame in frames if frame.time_jump is not None] == [24, 48]
    assert not any(frame.corrupt for frame in frames)  # though the packets' counters break at the joints


@pytest.mark.parametrize("cut_off", [0, 188, 3 * 188])
def test_segments_joined_whose_clock_goes_on(make: Any, tmp_path: Path, cut_off: int) -> None:
    """As FFmpeg's segment muxer and dash cameras write them: the packets' counters begin anew with each. Only where
    the end of the last frame is missing it is damaged."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 96, 128, 3)).astype(np.uint8)
    clip = make.clip("noise.mp4", list(noise), rate=RATE, profile="ippp")
    parts = [remux(clip, tmp_path / f"{index}.ts", lambda _, by=RATE + 24 * index: by) for index in range(3)]
    data = parts[0].read_bytes()
    parts[0].write_bytes(data[: len(data) - cut_off])
    frames, jumps = read(join(parts, tmp_path / "joined.ts"))
    assert [float(time) for time in seconds(frames)] == uniform(72)
    assert jumps == []
    assert [frame.index for frame in frames if frame.corrupt] == ([23] if cut_off else [])


def test_a_clock_that_begins_anew_under_a_decoder_that_lags(make: Any, tmp_path: Path) -> None:
    """MPEG-2 pictures come a packet late, when packets of the next recording wait already."""
    path = make.clip("part.ts", make.sliding(96, 128, 24, (2, 1)), codec="mpeg2video", options={"b": "2M"})
    frames, jumps = read(join([path, path], tmp_path / "joined.ts"))
    assert [float(time) for time in seconds(frames)] == [pytest.approx(index / 25) for index in range(48)]
    assert [jump.index for jump in jumps] == [24]


@pytest.mark.parametrize("ahead", [RATE * 60, RATE * 3600 * 20])
def test_a_clock_that_leaps_ahead(clip: Path, tmp_path: Path, ahead: int) -> None:
    parts = [remux(clip, tmp_path / f"{index}.ts", lambda _, by=RATE + ahead * index: by) for index in range(2)]
    frames, jumps = read(join(parts, tmp_path / "joined.ts"))
    assert [float(time) for time in seconds(frames)] == uniform(48)
    wrapped = ahead * STEP - Fraction(24, RATE)
    assert [jump.index for jump in jumps] == [24]
    assert jumps[0].seconds == pytest.approx(float(wrapped if wrapped < 2**32 / 90000 else wrapped - 2**33 / 90000))


def test_gaps_of_seconds_are_no_jumps(clip: Path, tmp_path: Path) -> None:
    for name in ("gap.ts", "gap.mkv", "gap.mp4"):
        path = remux(clip, tmp_path / name, lambda index: 8 * RATE if index >= 12 else 0)
        frames, jumps = read(path)
        steps = [float(b - a) for a, b in pairwise(seconds(frames))]
        assert max(steps) == pytest.approx(8 + float(STEP), abs=0.21)
        assert not jumps


@pytest.mark.parametrize("wraps", [1, 2])
def test_wraps_of_33_bits_are_no_jumps(make: Any, tmp_path: Path, wraps: int) -> None:
    """The clock of MPEG-TS returns to 0 every 26.5 hours; the last wrap is in the middle of the clip."""
    clip = make.clip("clip.mp4", make.sliding(96, 128, 24, (2, 1)), rate=RATE, profile="ippp")
    at = int(Fraction(wraps * 2**33, 90000) / STEP) - 12
    frames, jumps = read(remux(clip, tmp_path / "wrap.ts", lambda _: at))
    assert [float(time) for time in seconds(frames)] == uniform(24)
    assert not jumps


def test_a_time_that_stumbles_is_no_jump(make: Any, tmp_path: Path) -> None:
    clip = make.clip("clip.mp4", make.sliding(96, 128, 24, (2, 1)), rate=RATE, profile="ippp")
    with av.open(str(clip)) as given, av.open(str(tmp_path / "odd.ts"), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for index, packet in enumerate(packet for packet in given.demux(video=0) if packet.size):
            packet.stream = stream
            if index == 7:
                packet.pts = int(6.5 * STEP / packet.time_base)  # shown before its turn, decoded in turn
                packet.dts = int(6.25 * STEP / packet.time_base)
            made.mux(packet)
    frames, jumps = read(tmp_path / "odd.ts")
    times = seconds(frames)
    assert not jumps
    assert all(b > a for a, b in pairwise(times))
    assert float(times[8]) == pytest.approx(8 / 15)


def test_avi_stores_decode_times_only(clip: Path, tmp_path: Path) -> None:
    frames, jumps = read(remux(clip, tmp_path / "clip.avi"))
    assert [float(time) for time in seconds(frames)] == uniform(24)
    assert not jumps


def test_null_frames_of_avi_leave_their_time(make: Any, tmp_path: Path) -> None:
    clip = make.clip("clip.mp4", make.sliding(96, 128, 24, (2, 1)), rate=RATE, profile="ippp")
    path = remux(clip, tmp_path / "null.avi", lambda index: 3 if index >= 12 else 0)
    frames, _ = read(path)
    assert [round(time / STEP) for time in seconds(frames)] == [*range(12), *range(15, 27)]
    assert not any(frame.corrupt for frame in frames)
    with open_video(path) as video:
        assert video.frame_count == 24
        assert float(video.frame_rate) == pytest.approx(RATE * 24 / 27)
        assert video.decode_errors == 0


@pytest.mark.parametrize(("name", "codec"), [("raw.h264", "libx264"), ("raw.hevc", "libx265"), ("raw.m4v", "mpeg4")])
def test_raw_streams_state_their_rate(make: Any, tmp_path: Path, name: str, codec: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w", format=name.split(".")[1]) as made:
        stream = made.add_stream(codec, rate=RATE, options={"x265-params": "log-level=error"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.time_base = STEP
        for image in make.sliding(96, 128, 10, (2, 1)):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        made.mux(stream.encode(None))
    frames, _ = read(path)
    assert seconds(frames) == [index * STEP for index in range(10)]
    frames, _ = read(path, frame_rate=Fraction(10))
    assert seconds(frames) == [Fraction(index, 10) for index in range(10)]
    pictures = pictures_of_video(path)
    assert pictures.frame_rate == RATE
    told = pictures_of_video(path, Fraction(10))
    assert [picture.pts * told.time_base for picture in told] == [Fraction(index, 10) for index in range(10)]


def test_a_rate_that_cannot_be_is_not_believed(make: Any, tmp_path: Path) -> None:
    """Encoders that are given a fine time base write it down as the rate: 90,000 frames a second."""
    path = tmp_path / "fine.h264"
    with av.open(str(path), "w", format="h264") as made:
        stream = made.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90000)
        for index, image in enumerate(make.sliding(96, 128, 6, (2, 1))):
            picture = av.VideoFrame.from_ndarray(image, "rgb24")
            picture.pts, picture.time_base = index * 6000, Fraction(1, 90000)
            made.mux(stream.encode(picture))
        made.mux(stream.encode(None))
    frames, _ = read(path)
    assert seconds(frames) == [Fraction(index, 25) for index in range(6)]


def test_a_rate_of_a_container_that_cannot_be_is_not_believed(tmp_path: Path) -> None:
    """FFmpeg calls the unit of a DV file's clock its average rate."""
    path = tmp_path / "tape.dv"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("dvvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        for _ in range(4):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((576, 720, 3), np.uint8), "rgb24")))
    with open_video(path) as video:
        assert video.frame_rate == 25
    assert pictures_of_video(path).frame_rate == 25


def test_encoding_goes_on_where_the_clock_jumps(make: Any, tmp_path: Path) -> None:
    """With pictures crammed into microseconds the encoder's rate control has no bits left for them."""
    clip = make.clip("sharp.mp4", make.sliding(96, 128, 24, (2, 1)), rate=RATE, profile="ippp", options={"crf": "8"})
    part = remux(clip, tmp_path / "part.ts")
    source = join([part, part], tmp_path / "joined.ts")
    pictures = pictures_of_video(source)
    settings = EncodeSettings(bitrate_bps=2_000_000, preset="veryfast")
    result = transcode(pictures, tmp_path / "out.mp4", settings)
    assert result.duration_seconds == pytest.approx(3.2)
    assert [(jump.index, round(jump.seconds, 3)) for jump in pictures.counts.time_jumps] == [(24, -1.6)]
    assert pictures.counts.repaired_timestamps == 0
    with open_video(source) as before, open_video(tmp_path / "out.mp4") as after:
        frames = list(after)
        assert [float(time) for time in seconds(frames)] == uniform(48)
        assert min(make.psnr(a.luma, b.luma) for a, b in zip(before, frames, strict=True)) > 35


def test_an_encoding_begins_at_zero(make: Any, tmp_path: Path) -> None:
    clip = make.clip("clip.mp4", make.sliding(96, 128, 24, (2, 1)), rate=RATE, profile="ippp")
    pictures = pictures_of_video(remux(clip, tmp_path / "late.ts", lambda _: 80_000 * RATE))
    transcode(pictures, tmp_path / "out.mp4", replace(EncodeSettings(), preset="veryfast"))
    assert pictures.counts.start_seconds == pytest.approx(80_001, abs=2)
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert made.duration == pytest.approx(1.6 * av.time_base, rel=0.01)


def test_times_of_pictures_and_of_frames_agree(clip: Path, tmp_path: Path) -> None:
    """Both readers keep time alike."""
    part = remux(clip, tmp_path / "part.ts")
    for source in (join([part, part], tmp_path / "joined.ts"), remux(clip, tmp_path / "clip.avi"), clip):
        frames, _ = read(source)
        pictures = pictures_of_video(source)
        times = np.array([float((picture.pts or 0) * pictures.time_base) for picture in pictures])
        np.testing.assert_allclose(times - times[0], np.array(seconds(frames), float), atol=1e-9)


def test_matroska_has_no_decode_times_at_its_beginning(tmp_path: Path) -> None:
    """The first packets' times of display lie ahead of the decode times after them, which is no jump of the clock."""
    options = {"x264-params": "bframes=2:b-adapt=0"}
    clip = write_clip(tmp_path / "x.mkv", sliding(64, 96, 12, (2, 1)), options=options)
    with open_video(clip) as video:
        assert [frame.pts for frame in video] == [40 * i for i in range(12)]
        assert video.time_jumps == []

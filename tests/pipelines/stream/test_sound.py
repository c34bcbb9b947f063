"""The sound of a file in its overlay video: the same packets, in step, or a word why not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

RATE = 48000


def with_sound(file: Path, images: Any, codec: str = "aac", container: str | None = None) -> Path:
    """12 pictures, 25 a second, and a tone that rises."""
    with av.open(str(file), "w", format=container) as output:
        video = output.add_stream("libx264", rate=25, options={"bf": "0", "refs": "1"})
        video.height, video.width, video.pix_fmt = 64, 96, "yuv420p"
        sound = output.add_stream(codec, rate=RATE, layout="mono")
        output.start_encoding()
        for index, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, "rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        count = sound.codec_context.frame_size or 1024
        wave = np.sin(np.linspace(0, 60, RATE * len(images) // 25) ** 2).astype(np.float32)
        resampler = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=RATE)
        for first in range(0, len(wave) - count, count):
            samples = av.AudioFrame.from_ndarray(wave[None, first : first + count].copy(), "fltp", "mono")
            samples.sample_rate, samples.pts, samples.time_base = RATE, first, Fraction(1, RATE)
            for each in resampler.resample(samples):
                output.mux(sound.encode(each))
        output.mux(sound.encode(None))
    return file


def packets(file: Path | str) -> list[tuple[float, bytes]]:
    """Time and content of every packet of sound."""
    with av.open(str(file)) as container:
        track = container.streams.audio[0]
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(track) if p.size]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_packets_are_copied_in_step(stream: Any, tmp_path: Path, square_images: Any, name: str) -> None:
    clip = with_sound(tmp_path / name, square_images)
    result = stream(clip, "--mode", "frame", "-o", f"out{Path(name).suffix}")
    assert result.exit_code == 0, result.stderr
    expected = [(at, data) for at, data in packets(clip) if at >= 0]
    found = packets(f"out{Path(name).suffix}")
    assert [data for _, data in found] == [data for at, data in expected if at < 0.48]
    assert [at for at, _ in found] == pytest.approx([at for at, _ in expected if at < 0.48], abs=0.0011)
    with av.open(f"out{Path(name).suffix}") as made:
        times = [float(p.pts * p.time_base) for p in made.decode(video=0)]
    assert times == pytest.approx([i / 25 for i in range(12)], abs=0.0006)


def test_a_part_of_the_video_has_that_part_of_the_sound(stream: Any, tmp_path: Path, square_images: Any) -> None:
    clip = with_sound(tmp_path / "clip.ts", square_images, container="mpegts")
    result = stream(clip, "--mode", "motion", "-o", "x.mp4", "--start", "0.12", "--end", "0.36")
    assert result.exit_code == 0, result.stderr
    with av.open(str(clip)) as container:
        origin = float(next(container.decode(video=0)).time)
    raw = [(at - origin - 0.12, len(data)) for at, data in packets(clip)]
    found = packets("x.mp4")
    wanted = [at for at, _ in raw if 0 <= at < 0.24]
    assert [at for at, _ in found] == pytest.approx(wanted, abs=0.001)
    assert 8 < len(found) < 13


def test_it_can_be_left_out(stream: Any, tmp_path: Path, square_images: Any) -> None:
    clip = with_sound(tmp_path / "clip.mp4", square_images)
    assert stream(clip, "--mode", "frame", "-o", "x.mp4", "--no-audio").exit_code == 0
    with av.open("x.mp4") as made:
        assert not made.streams.audio


def test_what_the_container_cannot_hold_is_said(stream: Any, tmp_path: Path, square_images: Any) -> None:
    clip = with_sound(tmp_path / "clip.mkv", square_images, codec="flac")
    result = stream(clip, "--mode", "frame", "-o", "x.mov")
    assert result.exit_code == 0, result.stderr
    assert "'x.mov': without sound: .mov cannot hold its flac; take -o x.mkv" in result.stderr
    with av.open("x.mov") as made:
        assert not made.streams.audio
        assert sum(1 for _ in made.decode(video=0)) == 12
    assert "sound" not in stream(clip, "--mode", "frame", "-o", "y.mov", "--no-audio").stderr


def test_sound_ends_where_the_clock_jumps(stream: Any, tmp_path: Path, square_images: Any) -> None:
    part = with_sound(tmp_path / "part.ts", square_images, container="mpegts").read_bytes()
    (tmp_path / "cat.ts").write_bytes(part + part)
    result = stream(tmp_path / "cat.ts", "--mode", "frame", "-o", "x.mp4")
    assert result.exit_code == 0, result.stderr
    times = [at for at, _ in packets("x.mp4")]
    assert times == sorted(times)
    assert 0.3 < times[-1] < 0.6

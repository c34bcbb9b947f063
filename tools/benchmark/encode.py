"""`benchmark-encode`: how fast `preprocess encode` is beside libx264 alone, and how exact."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import click

from ...codec import EncodeSettings, file_url, pictures_of_video, transcode
from ...preprocess import EncodeJob, SequenceSource

RATES = (1_000_000, 3_000_000, 5_000_000)


def measure_encoding(source: Path, runs: int, seconds: float, presets: tuple[str, ...], as_json: bool) -> None:
    """Measure and print; the arguments are those of `benchmark-encode`."""
    speed = [_speed(source, preset, runs) for preset in presets]
    rates = [_accuracy(source, preset, rate, seconds) for preset in presets for rate in RATES]
    if as_json:
        click.echo(json.dumps({"source": str(source), "speed": speed, "rates": rates}))
        return
    click.echo(
        f"{'preset':10} {'gopseg':>8} {'libx264':>8} {'ratio':>6}  {'CPU s':>6} {'CPU s':>6}   (frames/s, medians)"
    )
    for row in speed:
        click.echo(
            f"{row['preset']:10} {row['fps']:8.1f} {row['fps_alone']:8.1f} {row['ratio']:6.2f}  "
            f"{row['cpu_seconds']:6.1f} {row['cpu_seconds_alone']:6.1f}"
        )
    click.echo(f"\n{'preset':10} {'asked':>10} {'got':>10} {'error':>7}   (bits/s over {seconds:g} s)")
    for row in rates:
        click.echo(f"{row['preset']:10} {row['asked_bps']:10.0f} {row['got_bps']:10.0f} {row['error']:+7.2%}")


def _speed(source: Path, preset: str, runs: int) -> dict[str, float | str]:
    settings = EncodeSettings(preset=preset)
    ours, alone = [], []
    with tempfile.TemporaryDirectory() as folder:
        job = EncodeJob(SequenceSource("ours", source), Path(folder), settings)
        for _ in range(runs):
            alone.append(_timed(lambda: _libx264_alone(source, Path(folder) / "alone.mp4", settings)))
            ours.append(_timed(lambda: int(job.run()["frame_count"])))
    return {
        "preset": preset,
        "fps": statistics.median(fps for fps, _ in ours),
        "fps_alone": statistics.median(fps for fps, _ in alone),
        "ratio": statistics.median(a[0] / b[0] for a, b in zip(ours, alone, strict=True)),
        "cpu_seconds": statistics.median(cpu for _, cpu in ours),
        "cpu_seconds_alone": statistics.median(cpu for _, cpu in alone),
    }


def _timed(work: Callable[[], int]) -> tuple[float, float]:
    """Frames a second, and processor seconds over all threads."""
    cpu, wall = time.process_time(), time.perf_counter()
    frames = work()
    return frames / (time.perf_counter() - wall), time.process_time() - cpu


def _libx264_alone(source: Path, target: Path, settings: EncodeSettings) -> int:
    """What a user of PyAV would write: decode with all threads, encode with the same options, write an MP4."""
    with av.open(file_url(source)) as reader, av.open(file_url(target), "w") as writer:
        stream = reader.streams.video[0]
        stream.thread_type = "AUTO"
        rate = Fraction(stream.average_rate or 25)
        encoder = writer.add_stream("libx264", rate=rate, options=settings.x264_options(rate))
        encoder.height, encoder.width, encoder.pix_fmt = stream.height, stream.width, "yuv420p"
        encoder.codec_context.time_base = Fraction(stream.time_base or Fraction(1, 90000))
        encoder.bit_rate = settings.bitrate_bps
        count = 0
        for picture in reader.decode(stream):
            picture.pict_type = 0
            writer.mux(encoder.encode(picture))
            count += 1
        writer.mux(encoder.encode(None))
    return count


def _accuracy(source: Path, preset: str, rate: int, seconds: float) -> dict[str, float | str]:
    pictures = pictures_of_video(source)
    pictures.frames = islice(pictures.frames, round(seconds * pictures.frame_rate))
    with tempfile.TemporaryDirectory() as folder:
        result = transcode(pictures, Path(folder) / "out.mp4", EncodeSettings(preset=preset, bitrate_bps=rate))
    return {"preset": preset, "asked_bps": rate, "got_bps": result.bitrate_bps, "error": result.bitrate_bps / rate - 1}

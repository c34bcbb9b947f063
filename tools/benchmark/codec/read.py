"""`benchmark-codec read`: frames per second of reading a video, with more and more of what the codec says."""

from __future__ import annotations

import itertools
import sys
import time

from tqdm import tqdm

from ....codec import open_video
from ..printing import report


def measure_reading(source: str, frames: int, threads: int) -> None:
    """Measure and report; the arguments are those of `benchmark-codec read`."""
    passes: dict[str, tuple[dict[str, bool], bool]] = {
        "metadata": ({"pixels": False}, False),
        "decode": ({"motion": False}, False),
        "decode+motion": ({}, False),
        "decode+motion+qp": ({"qp": True}, False),
        "decode+motion+image": ({}, True),
    }
    rates = {}
    for name, (options, with_images) in tqdm(passes.items(), disable=not sys.stderr.isatty(), leave=False):
        with open_video(source, threads=threads or "auto", **options) as video:
            started, count = time.perf_counter(), 0
            for frame in itertools.islice(video, frames):
                count += 1
                if with_images:
                    _ = frame.image
            rates[name] = round(count / (time.perf_counter() - started), 1)
            size_hw, codec = video.size_hw, video.codec_name
    report(source=source, codec=codec, size_hw=size_hw, threads=threads or "auto", frames_per_second=rates)

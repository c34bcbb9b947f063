"""`benchmark-codec`: its commands; what they measure with is imported when they run."""

from __future__ import annotations

from pathlib import Path

import click

from ....console import command, option
from ....errors import InputError
from ....options import Numbers, Size


@command("read")
@click.argument("source")
@option("--frames", type=click.IntRange(1), default=300, show_default=True, help="Frames to read in each pass.")
@option("--threads", type=click.IntRange(0), default=0, show_default=True, help="Decoder threads; 0 is every core.")
def read(source: str, frames: int, threads: int) -> None:
    """Reading SOURCE: frames a second for a metadata pass, for decoding, with vectors, with quantisers, with images."""
    from .read import measure_reading

    measure_reading(source, frames, threads)


@command("metadata")
@click.argument("source")
@option("--repeat", type=click.IntRange(1), default=9, show_default=True, help="Rounds; each makes every pass.")
def metadata(source: str, repeat: int) -> None:
    """Time whole passes over SOURCE that read every vector, and how many times faster the metadata pass is.

    metadata: vectors and types, without loop filter and inverse transform. full: also the pictures, as the decoder
    gives them. image: also the pictures as RGB. mvextractor read and mvextractor vectors (if it is installed): the
    other reader, with and without decoding pictures. Our passes run with one decoder thread and with FFmpeg's own
    choice; mvextractor has no such setting. Passes take turns. Ratios are medians over rounds of a pass's processor
    time to that of the same round's metadata pass; wall-clock time is given beside it.
    """
    from .metadata import measure_metadata

    measure_metadata(source, repeat)


@command("chain")
@click.argument("source", required=False)
@option("--size", type=Size(least=32), default="1280x720", show_default=True, help="Size of the street without SOURCE.")
@option("--gop", type=click.IntRange(2), default=12, show_default=True, help="Frames between keyframes.")
@option("--grid", type=click.IntRange(1), default=4, show_default=True, help="Side of a cell in pixels.")
@option("--frames", type=click.IntRange(2), default=96, show_default=True, help="Frames to take from SOURCE.")
@option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="Passes over these frames.")
def chain(source: str | None, size: tuple[int, int], gop: int, grid: int, frames: int, repeat: int) -> None:
    """Time rasterising and chaining to the keyframe: milliseconds per frame on one core, averaged over each GOP.

    Processor time is counted, because a busy machine changes it little; wall-clock time is given beside it.

    SOURCE is a video whose frames are taken in groups of --gop, wherever its own keyframes are. Without SOURCE, a
    synthetic street is rendered and encoded in memory.
    """
    from .chain import measure_chain

    measure_chain(source, size, gop, grid, frames, repeat)


@command("motion")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@option(
    "--distances",
    type=Numbers(),
    default="1,3,6,11",
    show_default=True,
    help="Frames since the keyframe.",
)
def motion(sources: tuple[str, ...], distances: tuple[int, ...]) -> None:
    """Measure motion to the keyframe, composed for every pixel, at some distances, over all SOURCEs together.

    Gives the mean length of motion (and its 10th, 50th and 90th percentile over frames); the PSNR of the keyframe
    warped by it against the decoded frame, that of the keyframe warped by following every field on the way, and that of
    the keyframe repeated, all from the mean squared error over all frames; and the share of pixels whose path meets an
    intra block. SOURCEs are videos in which all vectors point to the previous frame, as `preprocess encode` and
    `preprocess stills` write them.
    """
    from .motion import measure_motion

    measure_motion(sources, distances)


@command("references")
@click.argument("source", required=False)
@option("--preset", "presets", default="veryfast,medium,slow", show_default=True, help="x264 presets.")
@option("--params", default="", help="More x264 parameters for these streams, as in open-gop=1:bframes=8.")
@option("--gop", type=click.IntRange(2), default=12, show_default=True, help="Frames between keyframes.")
@option("--bitrate", type=click.IntRange(1000), default=750_000, show_default=True, help="Bits per second.")
@option("--fps", type=click.FloatRange(1), default=15.0, show_default=True, help="Frame rate.")
@option("--frames", type=click.IntRange(2), default=48, show_default=True, help="Frames of SOURCE.")
@option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="Timed passes; their median is given.")
def references(
    source: str | None, presets: str, params: str, gop: int, bitrate: int, fps: float, frames: int, repeat: int
) -> None:
    """Encode SOURCE with x264's default references and B-frames, and recover which picture each vector points to.

    attribution: on a clip whose true references are known (layers that move differently, scenes that alternate), the
    share of inter-coded area that was given the right one, and the share that does point to the previous frame.
    psnr_db: the keyframe warped by composed motion against the frame, by distance to the keyframe: recovered; previous,
    taking each vector for motion to the previous frame; one_reference, a stream of the same bitrate encoded for gopseg.
    ms_per_frame: processor time of reading with one decoder thread: plain, with references, and also composed.

    SOURCE is a video or a folder of frames; without it, a synthetic street is rendered.
    """
    from .references import measure_references

    measure_references(source, presets, params, gop, bitrate, fps, frames, repeat)


@command("warp")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@option("--streets", type=click.IntRange(0), default=6, show_default=True, help="Synthetic streets, seeds 0 and up.")
@option("--size", type=Size(least=32), default="240x144", show_default=True, help="Size of the streets.")
@option("--frames", type=click.IntRange(2), default=24, show_default=True, help="Frames of each clip.")
@option("--gop", type=click.IntRange(2), default=12, show_default=True, help="Frames between keyframes.")
@option("--crf", type=click.FloatRange(0, 51), default=23.0, show_default=True, help="x264's quality.")
@option("--params", default="", help="More x264 parameters for all but one_reference, as in merange=32:me=umh.")
def warp(
    sources: tuple[str, ...], streets: int, size: tuple[int, int], frames: int, gop: int, crf: float, params: str
) -> None:
    """How well keyframes moved by composed motion fit the frames, in encodings with several references and B-frames.

    Each clip is encoded with one reference, as gopseg's encoder does; with x264's defaults; with three B-frames in a
    row; the same with open GOPs; and with five references. psnr_db is over all frames but keyframes, from the mean
    squared error. lost_share is the part of the picture whose way meets a block without a vector, where motion is a
    guess; error_lost and error_elsewhere are the mean squared error's parts there and elsewhere.

    SOURCEs are videos or folders of frames.
    """
    from .warp import measure_warp

    if not sources and not streets:
        raise InputError("nothing to measure; give a SOURCE, or --streets")
    measure_warp(sources, streets, size, frames, gop, crf, params)


@command("signals")
@option(
    "--camvid",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder with CamVid's val (48 frames in a row) and the folder of --stills.",
)
@option(
    "--video",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="A video whose cuts are known: shared/data/video/bbb-720p.mp4.",
)
@option("--cuts", type=Numbers("frames"), default="210,324", show_default=True, help="Frames of --video that are cuts.")
@option(
    "--stills",
    type=click.Choice(["train", "test"]),
    default="train",
    show_default=True,
    help="Split to take the stills from.",
)
@option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed of shuffling and of streets.")
def signals(camvid: Path, video: Path, cuts: tuple[int, ...], stills: str, seed: int) -> None:
    """Measure precision and recall of the cut flag, with and without pixels, and the range of novelty, on known cuts.

    Clips without a cut: CamVid val at 15, 7.5 and 5 frames per second, synthetic streets at 15 and 7. Clips with cuts:
    the video; CamVid stills in random order, each a cut; joined pieces of 4 to 15 frames of val, the video and streets;
    and joined pieces of val alone, so that scenes resemble each other. Each is encoded in five ways. Frames that the
    pass without pixels does not judge (I-frames) are counted separately.
    """
    from .signals import measure_signals

    measure_signals(camvid, video, cuts, stills, seed)

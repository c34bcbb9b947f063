"""`preprocess clips`: its options, and what it tells the user."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...console import Existing, command, option
from ...data import known_datasets
from ...options import Numbers
from ..jobs import encoding_options, execution_options, existing_outputs, output_option

if TYPE_CHECKING:
    from ..jobs import Outcome, Outcomes
    from .clip_job import ClipFiles, ClipJob


AR_SEG = {"camvid": "camvid12", "camvid12": "camvid12", "cityscapes": "cityscapes"}
"""The data sets that have a layout of AR-Seg's, with the classes that it has there."""


@command(interrupted="finished clips are kept, the others left no trace; continue with --resume.")
@option("--dataset", metavar="NAME|DIR", default="camvid", show_default=True, help=f"{known_datasets()}.")
@option("--root", type=click.Path(path_type=Path), help="The data set's folder, if --dataset is a name.")
@option("--split", help="The data set's split. Default: val, if the data set has it.")
@option(
    "--frames",
    type=click.Path(path_type=Path),
    help="CamVid's extracted videos, SCENE/SCENE_000001.png, ... Default: `frames` in --root, if it is there.",
)
@output_option
@option(
    "--layout",
    type=click.Choice(["gopseg", "ar-seg"]),
    default="gopseg",
    show_default=True,
    help="Videos with index.json and labels; or decoded images and motion maps as AR-Seg's scripts read them.",
)
@option("--distances", type=Numbers("distances"), help="Only these distances to the keyframe, as in 11 or 0,3,11.")
@encoding_options(frame_rate=None, fps="Frames per second. Default: 15 dense, 30 sparse, Cityscapes 17.")
@execution_options
@existing_outputs
def clips(
    dataset: str,
    root: Path | None,
    split: str | None,
    frames: Path | None,
    output: Path,
    layout: str,
    distances: tuple[int, ...] | None,
    gop: int,
    bitrate: int,
    fps: Fraction | None,
    preset: str,
    jobs: int | None,
    ray: str | None,
    retries: int,
    manifest: Path | None,
    existing: Existing,
) -> None:
    """Encode the clips on which accuracy by distance to the keyframe is measured.

    If every frame is labelled (CamVid's val), each sequence is encoded --gop times, starting at its frame 0, 1, ..., so
    that each frame is seen at each distance. In sparsely labelled video (Cityscapes, CamVid with --frames), a GOP
    starts 0, 1, ... frames before each labelled frame. DIR gets NAME-START.mp4 with NAME-START.json, labels/, and
    index.json; with --layout ar-seg, a folder such as 3M-GOP12 with images, keyframes and motion maps.
    """
    from ...codec import EncodeSettings
    from ...data import DatasetError, open_dataset
    from ..jobs import Execution, run_planned
    from .ar_seg_layout import ArSegClipJob, link_cityscapes_labels, write_camvid_labels
    from .clip_job import plan_clips
    from .video_layout import VideoClipJob, write_clip_labels, write_index

    if distances is not None and max(distances) >= gop:
        raise click.UsageError(f"--distances: {max(distances)} is not below --gop {gop}")
    is_ar_seg = layout == "ar-seg"
    if is_ar_seg and dataset not in AR_SEG:
        raise click.UsageError(f"--layout ar-seg is for {', '.join(AR_SEG)}, not for '{dataset}'; leave it out")
    source = open_dataset(AR_SEG[dataset] if is_ar_seg else dataset, root, frames=frames)
    split = split or source.default_split
    sequences = source.sequences(split)
    is_dense = all(sequence.is_dense for sequence in sequences)
    if is_ar_seg and is_dense:
        raise click.UsageError("--layout ar-seg is for CamVid's whole videos: give --frames FOLDER")
    is_cityscapes = source.name == "cityscapes"
    cut = is_ar_seg and is_cityscapes  # as the authors' Cityscapes clips are
    wanted = None if distances is None else frozenset(distances)
    planned = list(plan_clips(sequences, gop, dense=is_dense, distances=wanted, cut_after_last=cut))
    if not planned:
        raise DatasetError(f"'{source.root}': no labelled frame has so many frames before it; give lower --distances")
    encoder = EncodeSettings(gop=gop, bitrate_bps=bitrate, preset=preset)
    rate = fps or source.frame_rate
    folder = output / f"{_tag(bitrate)}-GOP{gop}" if is_ar_seg else output
    execution = Execution(jobs, ray, retries, manifest)

    def run(clip_jobs: Sequence[ClipJob]) -> Outcomes:
        return run_planned(clip_jobs, folder, execution, existing, _summary, noun="clips")

    if is_ar_seg:
        outcomes = run([ArSegClipJob(clip, folder, encoder, rate, split, is_cityscapes) for clip in planned])
        if is_cityscapes:
            link_cityscapes_labels(folder, planned, gop, source.root / "gtFine")
        else:
            write_camvid_labels(output, planned, gop, split, source.palette, folder)
    else:
        videos = [VideoClipJob(clip, folder, encoder, rate) for clip in planned]
        outcomes = run(videos)
        write_clip_labels(folder, planned, source.palette)
        write_index(folder, videos, source.palette.names)
    click.echo(_total(folder, planned), err=True)
    outcomes.finish()


def _tag(bitrate_bps: int) -> str:
    """The bitrate as AR-Seg's folders tell it: 3M, 750k."""
    return f"{bitrate_bps / 1e6:g}M" if bitrate_bps >= 10**6 else f"{bitrate_bps / 1e3:g}k"


def _summary(outcome: Outcome) -> str:
    assert outcome.done is not None
    content = outcome.done.content
    height, width = content["size_hw"]
    return (
        f"{content['clip']}: {content['frame_count']} frames of {width}x{height}, "
        f"{content['bitrate_bps'] / 1e6:.3f} Mb/s, PSNR {content['psnr_db']['all']:.2f} dB"
    )


def _total(folder: Path, planned: Sequence[ClipFiles]) -> str:
    frames = {(clip.sequence, frame.name) for clip in planned for frame in clip.scored}
    distances = sorted({frame.distance for clip in planned for frame in clip.scored})
    shown = f"{distances[0]} to {distances[-1]}" if len(distances) > 1 else f"{distances[0]}"
    return f"{folder}: {len(planned)} clips, {len(frames)} labelled frames, distances {shown}"

"""`preprocess clips`: its options, and what it tells the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...console import Existing, command, option
from ...options import Numbers
from ..jobs import encoding_options, execution_options, existing_outputs, output_option

if TYPE_CHECKING:
    from ...data import LabelledSequence, Palette
    from ..jobs import Outcome, Outcomes
    from .clip_job import ClipFiles, ClipJob


@dataclass(frozen=True)
class _Source:
    """Recordings with labels, whether every frame is labelled, their classes, and the usual frame rate."""

    sequences: Sequence[LabelledSequence]
    is_dense: bool
    palette: Palette
    frame_rate: Fraction


@command(interrupted="finished clips are kept, the others left no trace; --resume goes on.")
@option("--dataset", type=click.Choice(["camvid", "cityscapes"]), default="camvid", show_default=True)
@option("--root", type=click.Path(path_type=Path), required=True, help="The data set's folder.")
@option("--split", default="val", show_default=True, help="The data set's split.")
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
    root: Path,
    split: str,
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

    Where every frame is labelled (CamVid's val) each sequence is encoded --gop times, from its frame 0, 1, ... on, so
    that each frame is seen at each distance. Of sparsely labelled video (Cityscapes, CamVid with --frames) a GOP begins
    0, 1, ... frames before each labelled frame. DIR gets NAME-START.mp4 with NAME-START.json, labels/, and index.json;
    with --layout ar-seg a folder such as 3M-GOP12 with images, keyframes and motion maps.
    """
    from ...codec import EncodeSettings
    from ...data import DatasetError
    from ..jobs import Execution, run_planned
    from .ar_seg_layout import ArSegClipJob, link_cityscapes_labels, write_camvid_labels
    from .clip_job import plan_clips
    from .video_layout import VideoClipJob, write_clip_labels, write_index

    if distances is not None and max(distances) >= gop:
        raise click.UsageError(f"--distances: {max(distances)} is not below --gop {gop}")
    is_ar_seg = layout == "ar-seg"
    source = _source(dataset, root, split, frames, void_class=is_ar_seg)
    if is_ar_seg and source.is_dense:
        raise click.UsageError("--layout ar-seg is for CamVid's whole videos: give --frames FOLDER")
    is_cityscapes = dataset == "cityscapes"
    cut = is_ar_seg and is_cityscapes  # as the authors' Cityscapes clips are
    wanted = None if distances is None else frozenset(distances)
    planned = list(plan_clips(source.sequences, gop, dense=source.is_dense, distances=wanted, cut_after_last=cut))
    if not planned:
        raise DatasetError(f"'{root}': no labelled frame has so many frames before it; give lower --distances")
    encoder = EncodeSettings(gop=gop, bitrate_bps=bitrate, preset=preset)
    rate = fps or source.frame_rate
    folder = output / f"{_tag(bitrate)}-GOP{gop}" if is_ar_seg else output
    execution = Execution(jobs, ray, retries, manifest)

    def run(clip_jobs: Sequence[ClipJob]) -> Outcomes:
        return run_planned(clip_jobs, folder, execution, existing, _summary, noun="clips")

    if is_ar_seg:
        outcomes = run([ArSegClipJob(clip, folder, encoder, rate, split, is_cityscapes) for clip in planned])
        if is_cityscapes:
            link_cityscapes_labels(folder, planned, gop, root / "gtFine")
        else:
            write_camvid_labels(output, planned, gop, split, source.palette, folder)
    else:
        videos = [VideoClipJob(clip, folder, encoder, rate) for clip in planned]
        outcomes = run(videos)
        write_clip_labels(folder, planned, source.palette)
        write_index(folder, videos, source.palette.names)
    click.echo(_total(folder, planned), err=True)
    outcomes.finish()


def _source(dataset: str, root: Path, split: str, frames: Path | None, *, void_class: bool) -> _Source:
    from ...data import CITYSCAPES_CLASSES, CamVid, camvid_dense, camvid_sparse, cityscapes_sequences, load_palette

    if dataset == "cityscapes":
        if frames is not None:
            raise click.UsageError("--frames is for CamVid; Cityscapes' leftImg8bit_sequence is in --root")
        palette = load_palette("cityscapes")
        assert palette.names == CITYSCAPES_CLASSES
        return _Source(cityscapes_sequences(root, split), False, palette, Fraction(17))
    data = CamVid(root, split, void_class=void_class)
    palette = _with_void(load_palette("camvid")) if void_class else load_palette("camvid")
    videos = frames or (root / "frames" if (root / "frames").is_dir() else None)
    if videos is None:
        return _Source(camvid_dense(data), True, palette, Fraction(15))
    return _Source(camvid_sparse(data, videos), False, palette, Fraction(30))


def _with_void(palette: Palette) -> Palette:
    """AR-Seg's classes: void is one, in black."""
    import numpy as np

    from ...data import Palette

    return Palette((*palette.names, "void"), np.concatenate([palette.colours, np.zeros((1, 3), np.uint8)]))


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

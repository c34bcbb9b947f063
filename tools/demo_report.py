"""What `gopseg demo` does: render, call the commands a user would type, and report."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..codec import open_video
from ..data import SyntheticStreet, load_palette, read_image, read_labels
from ..files import whole_file
from ..segnet import ConfusionMatrix, read_card
from .provenance import hardware
from .report import legend, line_chart, page, picture, strip, table

GOP = 12
MODES = ("frame", "auto", "motion", "ar")
SHOWN_DISTANCES = (0, 1, 6, 11)


def run_demo(output: Path, frames: int, seed: int, model: str) -> tuple[Path, Path]:
    """Everything into the folder `output`; returns the video of mode motion and the report.

    Where one of the commands fails, SystemExit with its status.
    """
    output.mkdir(parents=True, exist_ok=True)
    truth = render(output / "street", frames, seed)
    commands = [
        ["preprocess", "encode", "street", "-o", ".", "--gop", str(GOP), "--bitrate", "1M", "--fps", "15", "-y"]
    ]
    for mode in MODES:
        commands.append(
            f"segment-stream street.mp4 -o {mode}.mp4 --mode {mode} --model {model}".split()
            + f"--save overlay,labels --stats {mode}.json -y".split()
        )
    for command in commands:
        call(command, output)
    video, report = output / "motion.mp4", output / "report.html"
    write_picture(output / "picture.webp", video, output / "street", frames)
    with whole_file(report) as part:
        part.write_text(write_report(output, truth, commands, model, seed))
    return video, report


def render(folder: Path, count: int, seed: int) -> list[NDArray[np.uint8]]:
    """Write the street's frames as PNG files; returns their exact labels."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    truth = []
    frames = SyntheticStreet(seed=seed).frames(count)
    for i, (image, labels) in enumerate(tqdm(frames, "street", count, unit="frame", disable=None)):
        cv2.imwrite(str(folder / f"{i:06d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        truth.append(labels)
    return truth


def call(command: list[str], folder: Path) -> None:
    """Run one of our commands in `folder`, showing what is run; its exit status is ours if it fails."""
    click.echo(f"$ {' '.join(command)}")
    status = subprocess.run([str(Path(sys.executable).with_name(command[0])), *command[1:]], cwd=folder).returncode
    if status:
        sys.exit(status)


def write_picture(file: Path, overlay: Path, street: Path, frames: int) -> None:
    """A keyframe's picture, its overlay, and the overlay of the last frame that motion carried it to, side by side."""
    start = GOP * (frames // GOP // 2)
    with open_video(overlay, motion=False) as video:
        shown = [frame.image for frame in video if frame.index in (start, start + GOP - 1)]
    row = np.hstack([read_image(street / f"{start:06d}.png"), *shown])
    cv2.imwrite(str(file), cv2.cvtColor(row, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 88])


def write_report(folder: Path, truth: list[NDArray[np.uint8]], commands: list[list[str]], model: str, seed: int) -> str:
    """The report on `folder`'s outputs as one HTML page."""
    palette = load_palette("camvid")
    names, colours = palette.names, palette.colours
    with open_video(folder / "street.mp4", pixels=False) as video:
        frames = [(frame.distance, frame.pict_type) for frame in video]
    stats: dict[str, dict[str, Any]] = {mode: json.loads((folder / f"{mode}.json").read_text()) for mode in MODES}
    by_distance = {mode: [ConfusionMatrix(len(names)) for _ in range(GOP)] for mode in MODES}
    pooled = {mode: ConfusionMatrix(len(names)) for mode in MODES}
    for mode in MODES:
        for i, (distance, _) in enumerate(frames):
            labels = read_labels(folder / f"{mode}_labels" / f"{i:06d}.png")
            by_distance[mode][distance].update(labels, truth[i])
            pooled[mode].update(labels, truth[i])
    curves = {mode: [matrix.mean_iou for matrix in by_distance[mode]] for mode in MODES}
    speed = {mode: stats[mode]["fps"] / stats["frame"]["fps"] for mode in MODES}
    summary = table(
        ["mode", "mIoU, mean over d", "mIoU at d = 11", "pixels right", "frames/s"],
        [
            [
                mode,
                f"{np.mean(curves[mode]):.3f}",
                f"{curves[mode][-1]:.3f}",
                f"{pooled[mode].pixel_accuracy:.1%}",
                f"{stats[mode]['fps']:.1f}",
            ]
            for mode in MODES
        ],
    )
    per_class = table(
        ["class", *MODES],
        [[name, *(f"{pooled[mode].iou[c]:.3f}" for mode in MODES)] for c, name in enumerate(names)],
    )
    start = GOP * (len(frames) // GOP // 2)
    strips = [
        strip(
            [
                picture(read_image(folder / "street" / f"{i:06d}.png"), f"frame {i} ({frames[i][1]}, d = {d})"),
                picture(palette.color(truth[i]), "truth"),
                *(
                    picture(palette.color(read_labels(folder / f"{mode}_labels" / f"{i:06d}.png")), f"mode {mode}")
                    for mode in MODES
                ),
            ]
        )
        for d in SHOWN_DISTANCES
        for i in [start + d]
    ]
    card = read_card(model)
    lead = (
        f"{len(frames)} frames of a synthetic street (seed {seed}, not trained on), H.264 with a keyframe every {GOP} "
        f"frames. In mode motion the network sees {stats['motion']['network_frames']} of them, and motion vectors "
        f"carry what it saw to the others: {speed['motion']:.1f} times as fast as the network on every frame. Mode "
        f"auto, the default, also runs it on frames that carrying would get wrong, "
        f"{stats['auto']['network_frames']} in all: {speed['auto']:.1f} times as fast. In mode ar a branch sees the "
        f"others at half size: {speed['ar']:.1f} times as fast."
    )
    return page(
        "gopseg demo",
        lead,
        [
            ("Modes", summary),
            (
                "Accuracy by distance to the keyframe",
                line_chart(curves, "d, frames since the keyframe", "mIoU"),
            ),
            ("Frames", legend(names, colours) + "".join(strips)),
            ("Classes, IoU over all frames", per_class),
            ("How this was made", how(commands, card, model)),
        ],
    )


def how(commands: list[list[str]], card: dict[str, Any], model: str) -> str:
    """The commands, the machine, and where the weights come from."""
    lines = "\n".join(" ".join(command) for command in commands)
    data = card.get("data", "unknown data")
    return (
        f"<pre>{lines}</pre><p>{hardware()}, {time.strftime('%Y-%m-%d')}. Weights: <code>{model}</code>, "
        f"trained on {data}.</p>"
    )

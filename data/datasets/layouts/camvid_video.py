"""CamVid as video: densely labelled stretches of a split, and the authors' videos with their sparse labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ...sample import DatasetError
from ..pairing import list_files
from ..sequences import LabelledSequence
from .camvid_files import CamVidStills


@dataclass(frozen=True)
class Scene:
    """How the frames of one CamVid video are numbered: extracted frame (from 1) = annotation number - `offset`.

    `digits` is the pattern of the number in annotation names, `video` the source file (AR-Seg's pre-processing).
    """

    name: str
    digits: str
    offset: int
    video: str


SCENES = (
    Scene("0001TP", r"_(\d{6})", 6659, "01TP_extract.avi"),
    Scene("0006R0", r"_f(\d{5})", -2, "0006R0.MXF"),
    Scene("0016E5", r"_(\d{5})", -2, "0016E5.MXF"),
    Scene("Seq05VD", r"_f(\d{5})", -2, "0005VD.MXF"),
)


WIDEST_STEP = 10
"""Source frames (30 Hz) between two frames of what still is a video, not a series of stills."""


def extracted_frame(annotation: str) -> tuple[str, int]:
    """The scene of an annotated frame's name and the number, from 1, that ffmpeg's extraction gives the frame.

    "0001TP_006690" is frame 31 of scene 0001TP. DatasetError where the name is none of CamVid's.
    """
    for scene in SCENES:
        found = re.fullmatch(scene.name + scene.digits, annotation)
        if found is not None:
            return scene.name, int(found[1]) - scene.offset
    names = ", ".join(scene.name for scene in SCENES)
    raise DatasetError(
        f"'{annotation}' is no annotated frame of CamVid's videos ({names}); keep the authors' file names"
    )


def camvid_dense(data: CamVidStills) -> list[LabelledSequence]:
    """The labelled frames of a split as densely labelled sequences, one for each recording that its names tell.

    A name's last number counts frames. The frames of a recording must be equally far apart, as those of `val` in
    SegNet's release are (2, which is 15 Hz), and at most WIDEST_STEP; DatasetError where they are not, because frames
    left out cannot be encoded.
    """
    recordings: dict[str, list[tuple[int, int]]] = {}
    for index, (image, _) in enumerate(data.pairs):
        found = re.fullmatch(r"(.*?)_?[a-z]?(\d+)", image.stem)
        if found is None:
            raise DatasetError(f"'{image}': its name ends in no frame number; name frames as in NAME_000123.png")
        recordings.setdefault(found[1], []).append((int(found[2]), index))
    sequences = []
    for name, frames in recordings.items():
        numbers = [number for number, _ in frames]
        steps = {after - before for before, after in pairwise(numbers)}
        if len(steps) > 1 or max(steps, default=1) > WIDEST_STEP:
            apart = " to ".join(map(str, sorted({min(steps), max(steps)})))
            raise DatasetError(
                f"'{data.root / data.split}': the frames of '{name or data.split}' are {apart} apart; "
                "they are no densely labelled video. Take --stills, or --frames with the whole recording"
            )
        pairs = [data.pairs[index] for _, index in frames]
        images = tuple(image for image, _ in pairs)
        labels = {position: label for position, (_, label) in enumerate(pairs)}
        sequences.append(LabelledSequence(name or data.split, images, labels, data.read_labels, {}))
    return sequences


def camvid_sparse(data: CamVidStills, frames: Path) -> list[LabelledSequence]:
    """The authors' videos with the labels of a split, one sequence a scene: `frames`/SCENE/SCENE_%06d.png, from 1.

    Annotated frames are found by `extracted_frame`. DatasetError where a scene's folder or an annotated frame is
    missing, or where the frame numbers have holes.
    """
    labels: dict[str, dict[int, tuple[str, Path]]] = {}
    for image, label in data.pairs:
        scene, number = extracted_frame(image.stem)
        labels.setdefault(scene, {})[number] = (image.stem, label)
    return [_scene_sequence(frames / scene, scene, numbered, data) for scene, numbered in labels.items()]


def _scene_sequence(
    folder: Path, scene: str, numbered: dict[int, tuple[str, Path]], data: CamVidStills
) -> LabelledSequence:
    if not folder.is_dir():
        raise DatasetError(f"'{folder}' is no folder; extract the video's frames there as {scene}_000001.png, ...")
    images = {frame_number(path, scene): path for path in list_files(folder)}
    numbers = sorted(images)
    if not numbers or numbers[-1] - numbers[0] + 1 != len(numbers):
        raise DatasetError(f"'{folder}': its frame numbers have holes; extract every frame of the video")
    missing = [name for number, (name, _) in numbered.items() if number not in images]
    if missing:
        raise DatasetError(
            f"'{folder}' lacks {len(missing)} annotated frames, first that of '{missing[0]}'; extract the whole video"
        )
    first = numbers[0]
    positions = {number - first: entry for number, entry in sorted(numbered.items())}
    return LabelledSequence(
        scene,
        tuple(images[number] for number in numbers),
        {position: label for position, (_, label) in positions.items()},
        data.read_labels,
        {position: name for position, (name, _) in positions.items()},
    )


def frame_number(path: Path, prefix: str) -> int:
    """The number in PREFIX_000123.png; DatasetError where the name is another."""
    found = re.fullmatch(re.escape(prefix) + r"_(\d+)", path.stem)
    if found is None:
        raise DatasetError(f"'{path}': frames here are named {prefix}_000001{path.suffix}; move other files away")
    return int(found[1])

"""The data sets that `evaluate-segnet` reads, in whichever of their layouts a folder has them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...data import (
    CAMVID_CLASSES,
    CAMVID_CLASSES_WITH_VOID,
    CITYSCAPES_CLASSES,
    VSPW_CLASSES,
    CamVid,
    Cityscapes,
    ProcessedFrames,
    Sample,
    camvid_dense,
    camvid_sparse,
    cityscapes_sequences,
    limited,
    processed_gop,
    vspw_sequences,
)
from ...data import FRAME_RATE as VSPW_FRAME_RATE
from ..console import InputError
from .protocols import ClipProtocol, Consistency, ProcessedProtocol, Protocol

DATASETS = ("camvid", "cityscapes", "vspw")


@dataclass(frozen=True)
class Stills:
    """Labelled frames on their own, the classes of their labels, and the hash of their files."""

    samples: Sequence[Sample]
    classes: tuple[str, ...]
    sha256: str


def open_protocol(
    dataset: str,
    root: Path,
    split: str,
    *,
    frames: Path | None,
    classes: str,
    network_classes: tuple[str, ...],
    frame_rate: float | None,
    limit: int | None,
    consistency: Consistency,
) -> tuple[Protocol, tuple[str, ...]]:
    """The protocol that a data set's layout asks for, and the classes of its labels.

    AR-Seg's processed folders as they are; Cityscapes and CamVid with `frames` (or a folder of that name in `root`)
    sparse; CamVid otherwise dense. VSPW is dense too, but each of its videos is encoded once: there are enough of them
    to show every distance. InputError where the network's classes are not the labels'.
    """
    names = label_classes(dataset, classes, network_classes)
    if dataset == "vspw":
        videos = vspw_sequences(root, split)
        if limit is not None:
            videos = limited(videos, limit)
        return ClipProtocol(videos, True, frame_rate or VSPW_FRAME_RATE, consistency, starts=1), names
    if processed_gop(root) is not None:
        data = ProcessedFrames(root, split, void_class=len(names) == len(CAMVID_CLASSES_WITH_VOID))
        if data.is_cityscapes != (dataset == "cityscapes"):
            raise InputError(f"'{root}' holds processed frames of the other data set; give --dataset")
        return ProcessedProtocol(data, limit), names
    if dataset == "cityscapes":
        sequences, rate, is_dense = cityscapes_sequences(root, split), 17.0, False
    else:
        data_set = CamVid(root, split, void_class=names == CAMVID_CLASSES_WITH_VOID)
        folder = frames or (root / "frames" if (root / "frames").is_dir() else None)
        is_dense = folder is None
        sequences = camvid_dense(data_set) if folder is None else camvid_sparse(data_set, folder)
        rate = 15.0 if is_dense else 30.0
    if limit is not None:
        sequences = limited(sequences, limit)
    return ClipProtocol(sequences, is_dense, frame_rate or rate, consistency), names


def open_stills(
    dataset: str, root: Path, split: str, classes: str, network_classes: tuple[str, ...], limit: int | None
) -> Stills:
    """The labelled frames of a split; InputError where the network's classes are not the labels', and for VSPW."""
    if dataset == "vspw":
        raise InputError("--stills: VSPW is video; leave it out")
    names = label_classes(dataset, classes, network_classes)
    data: CamVid | Cityscapes
    if dataset == "cityscapes":
        data = Cityscapes(root, split)
    else:
        data = CamVid(root, split, void_class=names == CAMVID_CLASSES_WITH_VOID)
    count = len(data) if limit is None else min(limit, len(data))
    files = [path for pair in data.pairs[:count] for path in pair]
    return Stills(_First(data, count), names, files_sha256(files))


def label_classes(dataset: str, classes: str, network_classes: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the labels' classes; InputError where the network's are others.

    Names that only differ in case or are numbered ("class 0") fit if there are as many.
    """
    if dataset == "cityscapes":
        names = CITYSCAPES_CLASSES
    elif dataset == "vspw":
        names = VSPW_CLASSES
    elif classes == "auto":
        names = CAMVID_CLASSES_WITH_VOID if len(network_classes) == len(CAMVID_CLASSES_WITH_VOID) else CAMVID_CLASSES
    else:
        names = CAMVID_CLASSES if classes == "11" else CAMVID_CLASSES_WITH_VOID
    numbered = all(name.startswith("class ") for name in network_classes)
    same = [name.lower() for name in network_classes] == [name.lower() for name in names]
    if len(names) != len(network_classes) or not (same or numbered):
        raise InputError(f"the model has the classes {network_classes}, the labels {names}; take another model")
    return names


def data_sha256(protocol: Protocol) -> str:
    """The hash over all label files and the labelled frames' images, in order."""
    if isinstance(protocol, ProcessedProtocol):
        distances = [protocol.data.at(d) for d in range(protocol.data.gop)]
        return files_sha256(path for frames in distances for f in frames for path in (f.image, f.label))
    return files_sha256(
        path
        for sequence in protocol.sequences
        for position, label in sequence.label_files.items()
        for path in (sequence.images[position], label)
    )


def files_sha256(files: Iterable[Path]) -> str:
    """The SHA-256 of files' contents, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


class _First(Sequence[Sample]):
    """The first `count` samples of a data set."""

    def __init__(self, data: Sequence[Sample], count: int) -> None:
        self._data, self._count = data, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._data[index]

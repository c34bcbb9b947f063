"""What `evaluate-segnet` makes of a data set: the protocol for its video, or its labelled stills."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ...data import Dataset, limited
from ...errors import InputError
from .measuring import Encoding
from .protocols import ClipProtocol, Consistency, ProcessedProtocol, Protocol


def open_protocol(
    dataset: Dataset,
    split: str,
    *,
    frame_rate: float | None,
    limit: int | None,
    consistency: Consistency,
    encoding: Encoding = "gops",
) -> Protocol:
    """The protocol that a data set's layout asks for; DatasetError where files are missing.

    AR-Seg's processed folders as they are. Where every frame is labelled (CamVid's `val`, VSPW) dense, each sequence
    encoded as often as the data set says, or by libx264's defaults once; else (Cityscapes, CamVid with its whole
    videos) sparse. InputError where that `encoding` is wanted of other data than densely labelled sequences.
    """
    not_dense = InputError(
        f"--encode {encoding} wants video with labels for every frame, and {dataset.title}'s {split} has not got them; "
        "leave it out"
    )
    processed = dataset.processed(split)
    if processed is not None:
        if encoding != "gops":
            raise not_dense
        return ProcessedProtocol(processed, limit)
    sequences = dataset.sequences(split)
    if limit is not None:
        sequences = limited(sequences, limit)
    is_dense = all(sequence.is_dense for sequence in sequences)
    if encoding != "gops" and not is_dense:
        raise not_dense
    rate = frame_rate or float(dataset.frame_rate)
    starts = dataset.encodings if encoding == "gops" else 1
    return ClipProtocol(sequences, is_dense, rate, consistency, starts, encoding)


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

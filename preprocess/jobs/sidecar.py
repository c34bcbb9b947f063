"""The JSON beside an encoded video: what it was made from, how, and how well."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...codec import EncodeError, source_files
from ...files import discard, part_of, publish, remove_abandoned

SCHEMA = 1


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_source(path: Path) -> str:
    """The SHA-256 of a video file; that of a playlist is one over all that it lists, as of frames."""
    files = source_files(path)
    return sha256_of_frames(files) if len(files) > 1 else sha256_of(path)


def sha256_of_frames(files: Sequence[Path]) -> str:
    """One SHA-256 over a folder of frames: of the lines `NAME SHA256`, in order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def stamp_of(files: Sequence[Path]) -> list[int]:
    """Bytes of all files, and the last change of any in nanoseconds; zeros for what is not there."""
    stats = [file.stat() for file in files if file.exists()]
    return [sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)]


def versions(x264: str) -> dict[str, str]:
    """The versions that decide what the bytes are; `x264` is what the encoder wrote of itself into the stream."""
    import av

    libavcodec = ".".join(str(number) for number in av.library_versions["libavcodec"])
    return {"gopseg": version("gopseg"), "av": av.__version__, "libavcodec": libavcodec, "x264": x264}


def write_sidecar(path: Path, content: dict[str, Any]) -> None:
    """Write the sidecar; it appears under its name when it is whole. EncodeError where it cannot be written."""
    with sidecar_part(path, content) as part:
        publish(part, path)


@contextmanager
def sidecar_part(path: Path, content: dict[str, Any]) -> Iterator[Path]:
    """The sidecar written beside `path` under another name, to be renamed in the block; else it goes at its end.

    EncodeError where it cannot be written.
    """
    remove_abandoned(path)
    part = part_of(path)
    try:
        try:
            part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise EncodeError(f"{path}: cannot be written ({error.strerror}); check rights and space") from error
        yield part
    finally:
        discard(part)


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """A sidecar's content, or None where there is none that this version can read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("schema") == SCHEMA else None

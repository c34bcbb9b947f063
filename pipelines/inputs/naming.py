"""What a user's word for a source means, by the word alone; importing this takes no time."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

GLOB = frozenset("*?[")
STANDARD_INPUT = "-"


def is_live(source: str) -> bool:
    """Whether SOURCE may bring frames at its own pace: an address, a camera or standard input."""
    return source == STANDARD_INPUT or "://" in source or is_camera(source)


def is_camera(source: str) -> bool:
    """Whether SOURCE is the number of a camera."""
    return source.isascii() and source.isdigit() and not Path(source).exists()


def is_stills(source: str) -> bool:
    """Whether SOURCE is a folder or a glob of still images."""
    path = Path(source)
    return path.is_dir() or bool(GLOB & set(source) and not path.exists())


def source_stem(source: str) -> str:
    """A name for outputs: the file's or folder's without its suffix, the last part of an address, 'stdin'."""
    if source == STANDARD_INPUT:
        return "stdin"
    if is_camera(source):
        return f"camera{source}"
    if "://" in source:
        return Path(urlparse(source).path).stem or urlparse(source).hostname or "stream"
    path = Path(source)
    if path.is_dir():
        return path.resolve().name
    if GLOB & set(path.name) and not path.exists():
        return path.resolve().parent.name
    return path.stem

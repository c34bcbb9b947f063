"""The files that a source consists of: one, or a playlist and what it lists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

_HLS, _CONCAT = "#EXTM3U", "ffconcat version"
_MOST_BYTES = 16 << 20  # longer than any playlist
_MOST_DEEP = 3  # a master playlist, its variants, their segments
_URI = re.compile(r'\bURI="([^"]*)"')


def source_files(path: Path) -> tuple[Path, ...]:
    """The file `path` first and, if it is a playlist (HLS, FFmpeg's concat), all local files that it lists, each once.

    A master playlist's are those of all its variants. What is not there, or is an address, is left out.
    """
    if not path.is_file():  # a pipe's bytes are gone once they are read
        return ()
    found = [path]
    _add(path, found, _MOST_DEEP)
    return tuple(found)


def _add(playlist: Path, found: list[Path], depth: int) -> None:
    for name in _listed(playlist) if depth else ():
        path = playlist.parent / name.removeprefix("file://").removeprefix("file:")
        if "://" not in name and path.is_file() and not any(path.samefile(other) for other in found):
            found.append(path)
            _add(path, found, depth - 1)


def _listed(path: Path) -> Iterator[str]:
    """The names in a playlist; nothing of other files."""
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf")
            if not start.startswith((_HLS.encode(), _CONCAT.encode())):
                return
            file.seek(0)
            text = file.read(_MOST_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return
    for line in map(str.strip, text.splitlines()):
        if start.startswith(_HLS.encode()):
            yield from _URI.findall(line) if line.startswith("#") else [line] if line else []
        elif line.startswith("file "):
            try:
                yield "".join(shlex.split(line[5:], posix=True))
            except ValueError:
                continue

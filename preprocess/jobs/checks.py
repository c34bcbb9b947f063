"""What would keep a command from its work, said before the work begins."""

from __future__ import annotations

import os
from pathlib import Path

from ...codec import SourceError
from ..errors import OutputError


def make_folder(folder: Path) -> None:
    """Make the folder if need be; OutputError where it cannot be had or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = "is a file" if folder.is_file() else f"cannot be made ({error.strerror})"
        raise OutputError(f"{folder}: {cause}; give another folder by -o") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: no permission to write there; change its mode, or give another folder by -o")


def check_video(source: str) -> None:
    """SourceError for a folder or a glob, which hold no coded stream to read metadata from."""
    if Path(source).is_dir():
        raise SourceError(
            f"{source}: is a folder, and still images carry no codec metadata; run `preprocess encode` on it first"
        )

"""What would keep a command from its work, said before the work begins."""

from __future__ import annotations

from pathlib import Path

from ...codec import SourceError
from ...files import write_refusal
from ..errors import OutputError


def make_folder(folder: Path) -> None:
    """Make the folder if need be; OutputError where it cannot be had or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = "is a file" if folder.is_file() else f"cannot be made ({error.strerror})"
        raise OutputError(f"{folder}: {cause}; give another folder by -o") from error
    if refusal := write_refusal(folder):
        raise OutputError(f"{folder}: {refusal}, or give another folder by -o")


def check_video(source: str) -> None:
    """SourceError for a folder or a glob, which hold no coded stream to read metadata from."""
    if Path(source).is_dir():
        raise SourceError(
            f"{source}: is a folder, and still images carry no codec metadata; run `preprocess encode` on it first"
        )


def check_can_be_read_again(path: Path) -> None:
    """SourceError for a pipe, whose bytes are gone once they are read."""
    if path.is_fifo():
        raise SourceError(
            f"{path}: is a pipe, which can be read only once, and its hash is wanted too; write it to a file first"
        )

"""Files that appear under their final names only when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from .errors import InputError


class TargetExistsError(InputError, FileExistsError):
    """An output appeared, from another run, while this one was writing; it was left alone."""


def part_of(path: Path) -> Path:
    """A hidden name beside `path`, of the same suffix, that no other run has."""
    return path.with_name(f".{path.stem}.part-{os.getpid()}-{token_hex(3)}{path.suffix}")


@contextmanager
def whole_file(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Gives a path beside `path` to write to, which gets its final name at the end; nothing is left after an error.

    With `replace` false, TargetExistsError where `path` exists by then: another run made it meanwhile.
    """
    part = part_of(path)
    try:
        yield part
        publish(part, path, replace=replace)
    finally:
        part.unlink(missing_ok=True)


def publish(part: Path, path: Path, *, replace: bool = True) -> None:
    """Give a whole file its final name, in one step; TargetExistsError where it exists and is not to be replaced."""
    if replace:
        part.replace(path)
        return
    try:
        os.link(part, path)  # unlike a rename, never in place of a file that is there
    except FileExistsError as error:
        raise TargetExistsError(
            f"{path}: appeared while it was being written, by another run; give -y to replace it"
        ) from error
    except OSError:  # a file system without hard links
        if path.exists():
            raise TargetExistsError(
                f"{path}: appeared while it was being written, by another run; give -y to replace it"
            ) from None
        part.replace(path)
        return
    part.unlink()

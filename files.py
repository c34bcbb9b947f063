"""Files that appear under their final names only when they are whole.

They are written beside that name, under a hidden one that no other run has, and renamed at the end. What a run that was
killed has left behind goes when the same target is written again.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from glob import escape
from pathlib import Path
from secrets import token_hex

from .errors import InputError

if sys.platform != "win32":
    import fcntl

_LONGEST_NAME = 255  # bytes, on all file systems in common use


class TargetExistsError(InputError, FileExistsError):
    """An output appeared, from another run, while this one was writing; it was left alone."""


def part_of(path: Path) -> Path:
    """A hidden name beside `path`, of the same suffix, that no other run has."""
    head, suffix = _head_and_suffix(path)
    return path.with_name(f"{head}{_machine()}-{os.getpid()}-{token_hex(3)}{suffix}")


def hidden_beside(path: Path, ending: str) -> Path:
    """The hidden file `.STEM` with `ending` that belongs to `path`; always the same, and short enough."""
    room = _LONGEST_NAME - len(os.fsencode(f".{ending}"))
    return path.with_name(f".{_shortened(path.stem, room)}{ending}")


def discard(part: Path) -> None:
    """Remove a file or a folder, if it is there; errors of the disk are passed over."""
    with suppress(OSError):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def remove_abandoned(path: Path) -> None:
    """Remove what runs on this machine that were killed have left of `path`; those still running keep theirs."""
    for part in abandoned_parts(path):
        discard(part)


def abandoned_parts(path: Path, *, is_alone: bool = False) -> list[Path]:
    """Parts of `path` that runs which were killed have left, the newest last; never those of another process that goes
    on here.

    Of this process's own parts and of other machines' it cannot be told: `is_alone` is for callers who hold a lock that
    lets one run at a time write `path`. They count then.
    """
    head, suffix = _head_and_suffix(path)
    pattern = re.compile(rf"{re.escape(head)}([0-9a-f]{{8}})-(\d+)-[0-9a-f]{{6}}{re.escape(suffix)}")
    found = []
    for part in path.parent.glob(f"{escape(head)}*"):
        match = pattern.fullmatch(part.name)
        if match is None:
            continue
        machine, pid = match.groups()
        is_unknown = machine != _machine() or int(pid) == os.getpid()
        if is_alone if is_unknown else not _is_running(int(pid)):
            with suppress(OSError):  # another run may have removed it
                found.append((part.stat().st_mtime, part))
    return [part for _, part in sorted(found)]


def refuse_long_names(paths: Iterable[Path]) -> None:
    """InputError where a name is longer than file systems allow."""
    for path in paths:
        size = len(os.fsencode(path.name))
        if size > _LONGEST_NAME:
            raise InputError(f"{path}: File name too long, {size} bytes of {_LONGEST_NAME}; give a shorter one by -o")


def write_refusal(folder: Path) -> str | None:
    """Why nothing can be written into a folder that is there, and what mends that; None where it can."""
    if os.access(folder, os.W_OK | os.X_OK):
        return None
    is_read_only = hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    if is_read_only:
        return "is on a disk that is mounted read-only; mount it otherwise"
    return "no permission to write there; change its mode"


@contextmanager
def not_left_empty(folder: Path | None) -> Iterator[None]:
    """A folder that is made meanwhile is removed at the end if nothing has come into it; None is no folder."""
    was_there = folder is None or folder.exists()
    try:
        yield
    finally:
        if folder is not None and not was_there:
            with suppress(OSError):  # there is something in it
                folder.rmdir()


def refuse_taken(paths: Iterable[Path]) -> None:
    """TargetExistsError where one of the paths exists."""
    for path in paths:
        if os.path.lexists(path):
            raise _taken(path)


@contextmanager
def whole_file(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Gives a path beside `path` to write to, which gets its final name at the end; nothing is left after an error.

    With `replace` false, TargetExistsError where `path` exists by then: another run made it meanwhile.
    """
    remove_abandoned(path)
    part = part_of(path)
    try:
        yield part
        publish(part, path, replace=replace)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(part)):  # as of a full disk, which names nothing
            error.filename = str(path)
        raise
    finally:
        discard(part)


def publish(part: Path, path: Path, *, replace: bool = True) -> None:
    """Give a whole file its final name, in one step; TargetExistsError where it exists and is not to be replaced.

    A folder takes the place of another in two steps. What killed runs have left of it goes.
    """
    if part.is_dir():
        _publish_folder(part, path, replace)
    elif replace:
        part.replace(path)
    else:
        _publish_file(part, path)
    remove_abandoned(path)


def _publish_file(part: Path, path: Path) -> None:
    try:
        os.link(part, path)  # unlike a rename, never in place of a file that is there
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError:  # a file system without hard links
        refuse_taken([path])
        part.replace(path)
        return
    part.unlink()


def publish_together(parts: Sequence[tuple[Path, Path]], *, replace: bool = True) -> None:
    """Give whole files their final names, (part, path) each, in order; all or, with `replace` false, none of them.

    Runs that do this in one folder at the same time wait for each other, so that files which belong together are of one
    run; the file that says that all is done comes last. TargetExistsError where one exists and is not to be replaced.
    """
    published: list[Path] = []
    with _alone_in(parts[0][1].parent):
        if not replace:
            refuse_taken(path for _, path in parts)
        try:
            for part, path in parts:
                publish(part, path, replace=replace)
                published.append(path)
        except OSError:
            if not replace:
                for path in published:
                    discard(path)
            raise


def append_line(path: Path, line: str) -> None:
    """Append a line to a text file in one piece, however many runs do so; after what a crash cut off it begins anew."""
    with path.open("a+b", buffering=0) as file:
        _lock(file.fileno())
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
        is_torn = size > 0 and file.read(1) != b"\n"
        data = f"{chr(10) * is_torn}{line}\n".encode()
        while data:
            data = data[file.write(data) :]


def _publish_folder(part: Path, path: Path, replace: bool) -> None:
    if not os.path.lexists(path):
        part.rename(path)
        return
    if not replace:
        raise _taken(path)
    old = part_of(path)
    path.rename(old)
    part.rename(path)
    discard(old)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold off others who publish in `folder`, where the system locks folders (a network's may not)."""
    if sys.platform == "win32":  # which cannot open folders
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Wait until no other run has it locked, until it is closed."""
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def _taken(path: Path) -> TargetExistsError:
    return TargetExistsError(
        f"{path}: appeared while it was being written, by another run; give -y to replace it, or another name"
    )


def _head_and_suffix(path: Path) -> tuple[str, str]:
    """What parts of `path` begin and end with, so short that a name with both is none that a file system refuses."""
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= 16 else ""
    room = _LONGEST_NAME - len(os.fsencode(suffix)) - len(f"..part-{_machine()}--123456") - 10
    stem = path.name.removesuffix(suffix)
    return f".{_shortened(stem, room)}.part-", suffix


def _shortened(name: str, room: int) -> str:
    """At most `room` bytes of it; names that differ still do."""
    data = os.fsencode(name)
    if len(data) <= room:
        return name
    return f"{os.fsdecode(data[: room - 9])}~{zlib.crc32(data):08x}"


@cache
def _machine() -> str:
    """Another word on every machine, and in every container whose processes have numbers of their own."""
    name = platform.node()
    with suppress(OSError):
        name += str(Path("/proc/self/ns/pid").readlink())
    return f"{zlib.crc32(name.encode()):08x}"


def _is_running(pid: int) -> bool:
    if os.name != "posix":  # where signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    with suppress(OSError):  # one that is dead, but whose parent has not been told yet, can still be sent signals
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return True

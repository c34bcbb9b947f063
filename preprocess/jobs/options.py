"""What the subcommands of `preprocess` share: their types of options, and how they report errors and interrupts."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click

from ...codec import CodecError, InvalidDataError, MotionUnavailableError, SourceError
from ..encode import OutputError

_P = ParamSpec("_P")
BAD_INPUT = (SourceError, InvalidDataError, MotionUnavailableError)
"""Errors that are about what the user gave; other errors are failures on the way."""


class Bitrate(click.ParamType[int]):
    """Bits per second: 3000000, 750k, 2.5M."""

    name = "bitrate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """To an integer of bits per second."""
        match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([kKmMgG]?)", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no bitrate; give bits per second as in 750k, 2.5M or 3000000", param, ctx)
        rate = round(Fraction(match[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[match[2].lower()])
        if rate < 1000:
            self.fail(f"{value!r} is less than 1k; give bits per second as in 750k, 2.5M or 3000000", param, ctx)
        return rate


class FrameRate(click.ParamType[Fraction]):
    """Frames per second: 25, 29.97, 30000/1001."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """To a fraction."""
        try:
            rate = Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is no frame rate; give one as in 25, 29.97 or 30000/1001", param, ctx)
        if not Fraction(1, 1000) <= rate <= 1000:
            self.fail(f"{value!r} is out of range; give frames per second from 0.001 to 1000", param, ctx)
        return rate


class Names(click.ParamType[frozenset[str]]):
    """Some of the given names, with commas between."""

    name = "names"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[str]:
        """To a set."""
        if isinstance(value, frozenset):
            return value
        names = [name.strip() for name in str(value).split(",")]
        for name in names:
            if name not in self.known:
                self.fail(f"{name!r} is not one of {', '.join(self.known)}", param, ctx)
        return frozenset(names)


def reports_errors(interrupted: str) -> Callable[[Callable[_P, None]], Callable[_P, None]]:
    """One line for an error that we know, exit status 2 for bad input and 1 for a failure; a traceback by --debug.

    `interrupted` is what to say after Ctrl-C, which ends with status 130.
    """

    def decorate(command: Callable[_P, None]) -> Callable[_P, None]:
        @wraps(command)
        def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
            try:
                command(*args, **kwargs)
            except KeyboardInterrupt:
                click.echo(f"Interrupted: {interrupted}", err=True)
                sys.exit(130)
            except BrokenPipeError:
                raise  # the reader of our output has gone: click ends quietly
            except (CodecError, OSError) as error:
                if kwargs.get("debug"):
                    raise
                click.echo(f"Error: {one_line(error)}", err=True)
                sys.exit(2 if isinstance(error, (*BAD_INPUT, OutputError)) else 1)

        return wrapped

    return decorate


def one_line(error: BaseException) -> str:
    """An error's text as one line."""
    return " ".join(str(error).split()) or type(error).__name__


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


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Have SIGTERM end the work as Ctrl-C does, with nothing half-written left."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

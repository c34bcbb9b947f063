"""Errors of networks and weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

from ..errors import GopsegError, InputError

LONGEST = 240
"""Characters of a library's own words."""


class ModelError(InputError, ValueError):
    """A model name is unknown, a weight file is not one of ours, or what a network needs is not installed."""


@contextmanager
def reading_foreign(what: str, advice: str = "") -> Iterator[None]:
    """ModelError "WHAT: REASON; ADVICE" for whatever a library raises while it reads somebody's file.

    Nothing but the library's own call belongs in the block. Damaged files make it raise nearly anything (`torch.load`
    eleven kinds, from IndexError to struct.error), so kinds cannot be listed. Memory that runs out is let through.
    """
    try:
        yield
    except (GopsegError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        reason = shorten(str(error), LONGEST, placeholder=" ...") or type(error).__name__
        raise ModelError(f"{what}: {reason}" + (f"; {advice}" if advice else "")) from error

"""The errors of the streaming commands: one line that names the input, the cause and the way out."""

from __future__ import annotations

from ..errors import GopsegError, InputError


class StreamError(GopsegError, RuntimeError):
    """Something failed on the way: exit status 1."""


class OutputError(StreamError):
    """An output cannot be written; the way out is for whoever knows what becomes of what was written before."""


class StreamUsageError(InputError, ValueError):
    """The request or its input cannot work: exit status 2, before any work is done."""

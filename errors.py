"""The root of every error that gopseg raises on purpose: one line that names the input, the cause and the way out."""

from __future__ import annotations

from typing import ClassVar


class GopsegError(Exception):
    """Something failed that gopseg has a word for; `exit_status` is what a command ends with."""

    exit_status: ClassVar[int] = 1


class InputError(GopsegError):
    """Bad usage or bad input: what the user gave cannot work."""

    exit_status: ClassVar[int] = 2

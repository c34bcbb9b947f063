"""The errors of the codec front end: one line that names the input, the cause and the way out."""

from __future__ import annotations

from ..errors import GopsegError, InputError


class CodecError(GopsegError):
    """Base of every error that `gopseg.codec` raises on purpose."""


class SourceError(CodecError, InputError, OSError):
    """The source cannot be opened: missing, unreadable, or unreachable."""


class InvalidDataError(CodecError, InputError, ValueError):
    """The source opens but holds no video that can be decoded."""


class EncodeError(CodecError, RuntimeError):
    """A video cannot be encoded with these settings, or its output cannot be written."""


class MotionUnavailableError(CodecError, InputError, ValueError):
    """Motion was required where the stream has none; the text says why and what to do."""

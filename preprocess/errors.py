"""The errors of the `preprocess` commands that are not the codec's: one line with the cause and the way out."""

from __future__ import annotations

from ..codec import EncodeError
from ..errors import InputError


class OutputError(EncodeError, InputError):
    """The output asked for cannot be had: it exists, or its folder cannot be written to."""

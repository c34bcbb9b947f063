"""The readers that commands choose from by `--reader`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import click

from ...codec import CompressedVideo, open_video, open_with_mvextractor

READERS: Mapping[str, Callable[..., CompressedVideo]] = MappingProxyType(
    {"av": open_video, "mvextractor": open_with_mvextractor}
)
"""Name to what opens a video: `open_video`, or what reads vectors and types by the independent mvextractor."""

_F = TypeVar("_F", bound=Callable[..., Any])


def reader_option(command: _F) -> _F:
    """Add `--reader` to a command."""
    return click.option(
        "--reader",
        type=click.Choice(list(READERS)),
        default="av",
        show_default=True,
        help="What reads vectors and frame types; mvextractor needs the extra of that name, and is a check on ours.",
    )(command)

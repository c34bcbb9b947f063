"""What the subcommands of `benchmark-codec` share: opening sources, and reports on standard output."""

from __future__ import annotations

import json
import platform
from typing import Any

import click

from ...codec import CodecError, CompressedVideo, open_video
from ..console import InputError


def open_source(source: str, **options: Any) -> CompressedVideo:
    """`open_video`, whose errors are the command's."""
    try:
        return open_video(source, **options)
    except CodecError as error:
        raise InputError(str(error)) from error


def report(**figures: Any) -> None:
    """Print the figures and the machine as JSON."""
    figures["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
    click.echo(json.dumps(figures, indent=2))

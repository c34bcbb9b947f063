"""Reports of the benchmarks on standard output."""

from __future__ import annotations

import json
import platform
from typing import Any

import click


def report(**figures: Any) -> None:
    """Print the figures and the machine as JSON."""
    figures["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
    click.echo(json.dumps(figures, indent=2))

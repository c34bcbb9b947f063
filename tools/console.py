"""What tools/train still asks for by this name; it goes with the last of these imports."""

from __future__ import annotations

import click

from .provenance import hardware as hardware
from .provenance import sha256 as sha256


class InputError(click.ClickException):
    """Bad usage or input: one line on standard error, exit status 2."""

    exit_code = 2

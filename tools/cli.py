"""What the commands of this folder share."""

from __future__ import annotations

import click


class InputError(click.ClickException):
    """Bad usage or input: one line on standard error, exit status 2."""

    exit_code = 2

"""The `preprocess` command: corpora made ready for compressed-domain segmentation."""

from __future__ import annotations

import click

from .clips import clips
from .encode import encode
from .extract import extract
from .inspect import inspect
from .stills import stills
from .street import street


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gopseg")
def main() -> None:
    """Make videos and frames ready for segmentation in the compressed domain."""


for _command in (encode, extract, inspect, stills, street, clips):
    main.add_command(_command)

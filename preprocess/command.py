"""The `preprocess` command: corpora made ready for compressed-domain segmentation."""

from __future__ import annotations

import click

from .clips_command import clips
from .encode_command import encode
from .extract_command import extract
from .inspect_command import inspect
from .stills_command import stills
from .street_command import street


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gopseg")
def main() -> None:
    """Make videos and frames ready for segmentation in the compressed domain."""


for _command in (encode, extract, inspect, stills, street, clips):
    main.add_command(_command)

"""`train-segnet`: train networks and leave weights with their cards; one module per subcommand."""

from __future__ import annotations

import click

from ... import __version__
from .ar import ar
from .clip import clip
from .hr import hr
from .lr import lr
from .propagation import propagation


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Train a segmentation network."""


for command in (hr, lr, ar, clip, propagation):
    main.add_command(command)

if __name__ == "__main__":
    main()

"""`train-segnet`: train networks and leave weights with their cards; one module per subcommand."""

from __future__ import annotations

from ...console import group

COMMANDS = {
    "hr": "Train a full-resolution network on labelled frames.",
    "lr": "Train a low-resolution branch on its own (AR-Seg's first stage).",
    "ar": "Train a low-resolution branch and its fusion, on labelled GOPs (AR-Seg's second stage).",
    "clip": "Train MRCFA, which also looks at earlier frames, on labelled videos.",
    "propagation": "Train a head that carries a keyframe's scores along motion (GSVNet, SwNet-seq).",
    "router": "Fit what mode auto expects of carried frames, on video without labels.",
}


@group("train-segnet", lazy={name: (f"{__package__}.{name}:{name}", line) for name, line in COMMANDS.items()})
def main() -> None:
    """Train a segmentation network.

    On several GPUs, or several CPUs: torchrun --nproc-per-node N $(which train-segnet) COMMAND ...
    """


if __name__ == "__main__":
    main()

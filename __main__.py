"""`gopseg`, or `python -m gopseg`: all commands under one name."""

from __future__ import annotations

from .console import group

COMMANDS = {
    "segment": ("gopseg.pipelines.stream.main:main", "Label every frame of a video, a camera or a stream."),
    "preprocess": ("gopseg.preprocess.main:main", "Prepare videos and frames: encode, extract, inspect, ..."),
    "train": ("gopseg.tools.train.main:main", "Train a network, a branch or a propagation head."),
    "evaluate": ("gopseg.tools.evaluate.main:main", "Measure accuracy by distance to the keyframe."),
    "import": ("gopseg.tools.import_segnet:main", "Convert published checkpoints to gopseg's weights."),
    "export": ("gopseg.tools.export.main:main", "Write a network as ONNX or for OpenVINO, also quantised."),
    "benchmark": ("gopseg.tools.benchmark.main:main", "Measure speed and memory on this machine."),
    "fuzz": ("gopseg.tools.fuzz.main:main", "Read thousands of damaged videos and keep those that break something."),
    "fuzz-kills": ("gopseg.tools.fuzz.kills:kills", "Kill commands at random moments and check the files they leave."),
    "figures": ("gopseg.tools.figures.main:main", "Draw the pictures of docs/codec.md."),
    "demo": ("gopseg.tools.demo:main", "Render a street, segment it in several modes, and write a report."),
}


@group("gopseg", lazy=COMMANDS)
def main() -> None:
    """Fast semantic segmentation of video, using what the codec already knows.

    Each command has its own --help. Most are also installed under a name of their own, such as segment-stream.
    """


if __name__ == "__main__":
    main(prog_name="python -m gopseg")

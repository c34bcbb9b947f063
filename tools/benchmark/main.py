"""`gopseg benchmark`, and its parts that have names of their own: `benchmark-segnet`, `benchmark-codec`."""

from __future__ import annotations

from ...console import group

_HERE = "gopseg.tools.benchmark"
_SEGNET = {
    "network": (f"{_HERE}.commands:network", "Time of one picture on each runtime: torch, OpenVINO, ONNX Runtime."),
    "threads": (f"{_HERE}.commands:threads", "How many threads for the network, and pictures at a time."),
    "endurance": (f"{_HERE}.commands:endurance", "Rate and memory of an hour-long run by tenths."),
    "jobs": (f"{_HERE}.commands:jobs", "Frames per second of several workers against one."),
    "speed": (f"{_HERE}.commands:speed", "All reading and all modes, beside decoding and transcoding, and peers."),
    "memory": (f"{_HERE}.commands:memory", "Peak memory of a long run against a short one."),
}
_CODEC = {
    "read": (f"{_HERE}.codec.commands:read", "Frames per second of reading a video in several ways."),
    "metadata": (f"{_HERE}.codec.commands:metadata", "Metadata-only passes compared with full ones."),
    "chain": (f"{_HERE}.codec.commands:chain", "Time to rasterise vectors and follow them to the keyframe."),
    "motion": (f"{_HERE}.codec.commands:motion", "How far things move, and how well vectors capture it."),
    "references": (f"{_HERE}.codec.commands:references", "How well the references of vectors are recovered."),
    "warp": (f"{_HERE}.codec.commands:warp", "How well moved keyframes fit, with several references and B-frames."),
    "signals": (f"{_HERE}.codec.commands:signals", "Cuts found on videos whose cuts are known."),
}
_ALL = {
    **_SEGNET,
    "codec": (f"{_HERE}.main:codec", "Measure the codec front end."),
    "encode": (f"{_HERE}.commands:encode", "Compare `preprocess encode` with libx264 alone."),
    "attention": (f"{_HERE}.commands:attention", "Time CReFF's local attention."),
}


@group("benchmark", lazy=_ALL)
def main() -> None:
    """Measure speed and memory on this machine. Results go to standard output, mostly as JSON."""


@group("benchmark-segnet", lazy=_SEGNET)
def segnet() -> None:
    """Measure speed and memory of the modes on this machine; results go to standard output."""


@group("benchmark-codec", lazy=_CODEC)
def codec() -> None:
    """Measure the codec front end. Results go to standard output as JSON."""

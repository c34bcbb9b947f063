"""The `preprocess` command: preparing corpora for compressed-domain segmentation."""

from __future__ import annotations

from ..console import group

COMMANDS = {
    "encode": ("gopseg.preprocess.encode.encode_command:encode", "Encode each SOURCE to DIR/NAME.mp4 for gopseg."),
    "extract": ("gopseg.preprocess.extract.extract_command:extract", "Write the codec's metadata to NumPy archives."),
    "inspect": ("gopseg.preprocess.inspect.inspect_command:inspect", "Show what a video stream is made of."),
    "stills": ("gopseg.preprocess.stills.stills_command:stills", "Turn labelled stills into labelled GOPs."),
    "street": ("gopseg.preprocess.street.street_command:street", "Render labelled videos of synthetic streets."),
    "clips": ("gopseg.preprocess.clips.clips_command:clips", "Encode clips for measuring accuracy by distance."),
}


@group("preprocess", lazy=COMMANDS)
def main() -> None:
    """Prepare videos and frames for segmentation in the compressed domain."""

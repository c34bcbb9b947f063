"""Every mode on the CPU and on the pretended device: run by `test_pretended_device` in a process of its own.

Prints a JSON object: for each case, how its labels and masks compare with the CPU's, and what was copied and waited
for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.pretended.device import NAME, copies, pinned, pretend_device, waits  # before gopseg

# isort: split

from gopseg.pipelines import Prediction, runner, segment
from gopseg.pipelines.on_device import transfers
from gopseg.segnet import (
    AlteringResolution,
    LowResolution,
    PropagationModel,
    PropagationSettings,
    branch_file,
    build_fusion,
    build_network,
    save_branch,
    save_model,
    save_propagation,
)
from tests.pipelines.conftest import moving_square, write_clip

CLASSES = ("ground", "red", "blue")
FRAMES = 8
SHIPPED = {"refining": True, "photometric": True, "validity": True}
CASES: dict[str, dict[str, Any]] = {
    "frame": {"mode": "frame"},
    "lr": {"mode": "lr"},
    "motion": {"mode": "motion"},
    "motion, smaller keyframes": {"mode": "motion", "key_scale": 0.75},
    "motion, features": {"mode": "motion", "carry": "features"},
    "auto": {"mode": "auto", "quality": 0.999},
    "flow, dis": {"mode": "flow"},
    "flow, features": {"mode": "flow", "carry": "features"},
    "guided": {"mode": "guided"},
    "guided, light flow": {"mode": "guided", "guided_weights": "light.safetensors"},
    "ar, evidence": {"mode": "ar"},
    "ar, creff": {"mode": "ar", "lr_scale": 0.6},
    "clip": {"mode": "clip"},
}


def write_models(folder: Path) -> dict[str, Path]:
    """Networks with random weights and what belongs to them: a SwiftNet and an MRCFA."""
    torch.manual_seed(0)
    files = {"swiftnet": folder / "swiftnet.safetensors", "mrcfa": folder / "mrcfa.safetensors"}
    save_model(build_network("swiftnet18", CLASSES), files["swiftnet"], "swiftnet18")
    for fusion, scale in (("evidence", 0.5), ("creff", 0.6)):
        low = LowResolution(build_network("swiftnet18", CLASSES), scale)
        branch = AlteringResolution(low, build_fusion(fusion, low))
        save_branch(branch, branch_file(files["swiftnet"], "ar", scale), "swiftnet18", fusion)
    head = PropagationModel(PropagationSettings(classes=CLASSES, stride=4, width=8, flow="light"))
    save_propagation(head, folder / "light.safetensors")
    head = PropagationModel(PropagationSettings(classes=CLASSES, stride=4, width=8, **SHIPPED))
    save_propagation(head, branch_file(files["swiftnet"], "guided"))
    save_model(build_network("mrcfa-b0", CLASSES), files["mrcfa"], "mrcfa-b0")
    return files


def with_news(images: list[np.ndarray], height: int, width: int) -> list[np.ndarray]:
    """The same, and from the fourth on something of this size that was not there before, so that motion loses cells."""
    noise = np.random.default_rng(5).integers(0, 256, (height, width, 3)).astype(np.uint8)
    for image in images[3:]:
        image[20 : 20 + height, 30 : 30 + width] = noise
    return images


def compared(expected: list[Prediction], found: list[Prediction]) -> dict[str, Any]:
    """What is alike."""
    labels = np.stack([one.labels for one in found])
    masks = [(one.occluded, other.occluded) for one, other in zip(expected, found, strict=True)]
    down = [copy for copy in copies if copy.direction == "from"]
    up = [copy for copy in copies if copy.direction == "to"]
    return {
        "differ": int(np.count_nonzero(labels != np.stack([one.labels for one in expected]))),
        "masks": all(one is other is None or np.array_equal(one, other) for one, other in masks),
        "occluded": sum(other is not None for _, other in masks),
        "frames": len(found),
        "looks": [one.index for one in found if one.from_network],
        "same_looks": [one.from_network for one in found] == [one.from_network for one in expected],
        "classes": len(np.unique(labels)),
        "down": [[copy.dtype, copy.bytes] for copy in down],
        "up": [[copy.dtype, copy.bytes] for copy in up],
        "waited_for": [[copy.direction, copy.dtype, copy.bytes] for copy in copies if copy.waited],
        "waits": list(waits),
        "scores": min(one.logits is None for one in found),
    }


def main(folder: Path) -> None:
    """Run all cases and print what came out."""
    little = write_clip(folder / "little.mp4", with_news(moving_square(FRAMES), 24, 24))
    much = write_clip(folder / "much.mp4", with_news(moving_square(FRAMES), 40, 56))
    files = write_models(folder)
    find_device = runner.find_device
    transfers.PINNING, transfers.pinned = frozenset({NAME}), pinned
    found = {}
    for name, case in CASES.items():
        model = files["mrcfa" if case["mode"] == "clip" else "swiftnet"]
        clip = much if case["mode"] == "auto" else little
        options = {key: folder / value if key == "guided_weights" else value for key, value in case.items()}

        def run(device: str, clip: Path = clip, model: Path = model, options: Any = options) -> list[Prediction]:
            predictions = segment(str(clip), model=str(model), device=device, precision="fp32", **options)
            copies.clear()  # of weights, and of the picture that warms up
            waits.clear()
            return list(predictions)

        expected = run("cpu")
        runner.find_device = lambda _: pretend_device()
        try:
            found[name] = compared(expected, run("pretend"))
        finally:
            runner.find_device = find_device
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))

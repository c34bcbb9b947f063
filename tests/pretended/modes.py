"""Every mode on the CPU and on the pretended device: run by `test_pretended_device` in a process of its own.

Prints a JSON object: for each case, whether the labels agree, and the largest difference of the logits.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from tests.pretended.device import copies, pretend_device  # before gopseg

# isort: split

from gopseg.pipelines import runner, segment
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
CASES = {
    "frame": {"mode": "frame"},
    "lr": {"mode": "lr"},
    "motion": {"mode": "motion"},
    "motion, features": {"mode": "motion", "carry": "features"},
    "flow, dis": {"mode": "flow"},
    "flow, features": {"mode": "flow", "carry": "features"},
    "guided": {"mode": "guided"},
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
    save_propagation(head, branch_file(files["swiftnet"], "guided"))
    save_model(build_network("mrcfa-b0", CLASSES), files["mrcfa"], "mrcfa-b0")
    return files


def main(folder: Path) -> None:
    """Run all cases and print what came out."""
    clip = write_clip(folder / "square.mp4", moving_square(8))
    files = write_models(folder)
    find_device = runner.find_device
    found = {}
    for name, case in CASES.items():
        model = files["mrcfa" if case["mode"] == "clip" else "swiftnet"]

        def run(device: str, model: Path = model, case: dict[str, object] = case) -> list[np.ndarray]:
            predictions = segment(str(clip), model=str(model), device=device, precision="fp32", **case)
            return [prediction.labels for prediction in predictions]

        expected = run("cpu")
        runner.find_device = lambda _: pretend_device()
        copies.clear()
        try:
            labels = run("pretend")
        finally:
            runner.find_device = find_device
        found[name] = {
            "equal": all(np.array_equal(a, b) for a, b in zip(expected, labels, strict=True)),
            "frames": len(labels),
            "classes": len(np.unique(np.stack(labels))),
            "to": sum(direction == "to" for direction, _ in copies),
            "from": sum(direction == "from" for direction, _ in copies),
        }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))

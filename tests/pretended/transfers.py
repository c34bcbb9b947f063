"""What mode `frame` copies to and from the pretended device: run by `test_transfers` in a process of its own."""

from __future__ import annotations

import json
import sys

import numpy as np
import torch

from tests.pretended.device import copies, pretend_device  # before gopseg

# isort: split

from gopseg.pipelines import NetworkRunner, runner, upsample_labels
from gopseg.segnet import build_network


def main() -> None:
    """Print the shapes that were copied for one frame, and whether the labels are the CPU's."""
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 256, (90, 118, 3)).astype(np.uint8)
    networks = [build_network("swiftnet18", ("ground", "red", "blue")) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    on_cpu = NetworkRunner(networks[0], device="cpu", precision="fp32")
    runner.find_device = lambda _: pretend_device()
    on_device = NetworkRunner(networks[1], device="pretend", precision="fp32")
    expected = upsample_labels(on_cpu.logits(image), on_cpu.stride, (90, 118))
    copies.clear()
    scores = on_device.scores(image)
    labels = scores.labels((90, 118))  # type: ignore[union-attr]
    found = {"copies": list(copies), "equal": bool(np.array_equal(labels, expected)), "dtype": str(labels.dtype)}
    found["full"] = bool(np.array_equal(scores.full(), on_cpu.logits(image)))  # type: ignore[union-attr]
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

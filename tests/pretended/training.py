"""A training step of every trainer on the CPU and on the pretended device: run by `test_pretended_device`.

    python training.py DATA OUTPUT

DATA is what `five_trainers` trains on. Prints a JSON object: for each training, the number of parameters with a
gradient, and the distance of the gradients relative to their norm.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from tests.pretended.device import NAME, pretend_device  # before gopseg

# isort: split
from accelerate.state import AcceleratorState, PartialState

from gopseg.data import CamVid
from tests.tools.train.five_trainers import frozen, trainers


def gradients(data: CamVid, output: Path) -> dict[str, dict[str, torch.Tensor]]:
    """What one step of each trainer leaves, on the CPU."""
    found = {}
    output.mkdir(parents=True)
    (output / "hr").mkdir()
    for name, trainer in trainers(data, output, 2).items():
        frozen(trainer.module)
        trainer.train_step(trainer.batch(0))
        found[name] = {
            key: parameter.grad.detach().cpu()
            for key, parameter in trainer.module.named_parameters()
            if parameter.grad is not None
        }
    return found


def main(data: CamVid, output: Path) -> None:
    """Train on both and print what differs."""
    device = pretend_device()  # before the first backward pass, for which torch counts the devices
    expected = gradients(data, output / "cpu")
    for state in (PartialState, AcceleratorState):
        state._shared_state["device"] = device
    found = gradients(data, output / NAME)
    report = {}
    for name, each in expected.items():
        assert each.keys() == found[name].keys()
        gap = sum(float((found[name][key] - value).square().sum()) for key, value in each.items()) ** 0.5
        norm = sum(float(value.square().sum()) for value in each.values()) ** 0.5
        report[name] = {"parameters": len(each), "difference": gap / norm}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(CamVid(Path(sys.argv[1])), Path(sys.argv[2]))

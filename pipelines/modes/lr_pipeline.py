"""Mode `lr`: the LR branch alone on every frame, to compare AR with."""

from __future__ import annotations

from ...segnet import LowResolution, load_lr
from ..carriers import find_branch
from ..runner import NetworkRunner
from .per_frame import PerFramePipeline


class LowResolutionPipeline(PerFramePipeline):
    """A network trained for pictures shrunk to `lr_scale`, on every frame; no keyframes, no motion.

    Its weights lie beside those of the HR network, as `NAME-lr0.5.safetensors`. StreamUsageError where there are none.
    """

    mode = "lr"

    def __init__(self, runner: NetworkRunner, *, keep_logits: bool = False, lr_scale: float = 0.5) -> None:
        super().__init__(low_runner(runner, lr_scale), keep_logits=keep_logits)


def low_runner(runner: NetworkRunner, scale: float) -> NetworkRunner:
    """The runner of the LR branch that belongs to a runner's network."""

    def make() -> NetworkRunner:
        low: LowResolution = load_lr(find_branch(runner, "lr", scale))
        return NetworkRunner(low, device=str(runner.device), precision=runner.precision)

    return runner.companion(f"lr{scale:g}", make)

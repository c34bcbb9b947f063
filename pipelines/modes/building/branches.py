"""What modes load beside a runner's network: branches and propagation heads, each once for a runner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ....segnet import PropagationModel, load_ar, load_lr, load_propagation
from ...carriers import AlteringRunner
from ...errors import StreamUsageError
from ...runner import Companion, NetworkRunner
from ..ar import AR
from ..guided import GUIDED
from ..lr import LR
from .weights import find_branch


@dataclass(frozen=True)
class LowBranch(Companion[NetworkRunner]):
    """The runner of the LR branch of a scale, which is a network of its own."""

    scale: float

    def make(self, runner: NetworkRunner) -> NetworkRunner:
        """See `Companion`."""
        file = find_branch(LR, LR.options(lr_scale=self.scale), runner.network.weights_file)
        low = load_lr(file)
        return NetworkRunner(
            low, device=str(runner.device), precision=runner.precision_for(low), runtime=runner.runtime
        )


@dataclass(frozen=True)
class AlteringBranch(Companion[AlteringRunner]):
    """The AR branch of a scale."""

    scale: float

    def make(self, runner: NetworkRunner) -> AlteringRunner:
        """See `Companion`."""
        file = find_branch(AR, AR.options(lr_scale=self.scale), runner.network.weights_file)
        return AlteringRunner(runner, load_ar(file, runner.device))


@dataclass(frozen=True)
class HeadModel(Companion[PropagationModel]):
    """A propagation head, from `weights` or from beside the network's own, with the motion source that it was trained
    with or another (`flow`).

    StreamUsageError where it is for other classes, ModelError where it has not got the weights of that source.
    """

    weights: Path | None = None
    flow: str | None = None

    def make(self, runner: NetworkRunner) -> PropagationModel:
        """See `Companion`."""
        file = find_branch(GUIDED, GUIDED.options(guided_weights=self.weights), runner.network.weights_file)
        model = load_propagation(file, runner.device, flow=self.flow)
        if model.settings.classes != runner.classes:
            raise StreamUsageError(
                f"'{file}' is a head for {len(model.settings.classes)} classes ({model.settings.classes[0]}, ...), the "
                f"model has {len(runner.classes)} ({runner.classes[0]}, ...); give the head that was trained with it"
            )
        return model

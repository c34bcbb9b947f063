"""Motion by optical flow between neighbouring pictures; no codec is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ...codec import Frame, MotionField
from ...segnet import FLOW_SOURCES, PropagationFrame, PropagationModel, PropagationSettings, load_propagation
from ..errors import StreamUsageError
from ..runner import Companion, NetworkRunner
from .flow_chain import FlowChain
from .names import CODEC, UNTRAINED
from .source import MotionSource


class OpticalFlow(MotionSource):
    """Flow from one picture to the next, composed (`FlowChain`), at the centres of the network's cells.

    `model`'s source of flow may be "none": nothing moves, and cells of another colour than the reference's are lost.
    """

    stage = "flow"
    reads_codec = False
    mixes_lost = False

    def __init__(self, runner: NetworkRunner, model: PropagationModel) -> None:
        self.model = model
        self._chain = FlowChain(runner, model)
        self._reference: Frame | None = None

    @property
    def reads_images(self) -> bool:
        """See `MotionSource`."""
        return self._chain.on_cpu

    @property
    def current(self) -> PropagationFrame:
        """The frame that was observed last, as the model takes it."""
        assert self._chain.current is not None
        return self._chain.current

    @property
    def step(self) -> Tensor:
        """The flow to the frame before, (1, h, w, 2) in cells of the model's grid."""
        assert self._chain.step is not None
        return self._chain.step

    def observe(self, frame: Frame, *, anew: bool) -> Frame:
        """See `MotionSource`."""
        if anew or self._reference is None or self._reference.size_hw != frame.size_hw:
            self.begin_at(frame)
            return frame
        self._chain.advance(frame)
        return self._reference

    def begin_at(self, frame: Frame) -> None:
        """See `MotionSource`."""
        self._chain.restart(frame)
        self._reference = frame

    def field(self, frame: Frame) -> MotionField:  # noqa: ARG002
        """See `MotionSource`."""
        return self._chain.field()


@dataclass(frozen=True)
class FlowModel(Companion[PropagationModel]):
    """The flow that `source` names: "dis", "none", or `NAME:FILE` with a propagation model's own.

    Only the model's flow is used. StreamUsageError where there is no such source, ModelError where FILE has not got it.
    """

    source: str

    def make(self, runner: NetworkRunner) -> PropagationModel:
        """The model: on the runner's device, but on the CPU without weights, as OpenCV's flow is computed there."""
        name, _, file = self.source.partition(":")
        if name not in FLOW_SOURCES or (name in UNTRAINED) == bool(file):
            trained = ", ".join(f"{name}:FILE" for name in FLOW_SOURCES if name not in UNTRAINED)
            raise StreamUsageError(
                f"--flow-source {self.source}: unknown; take {', '.join(UNTRAINED)}, {CODEC}, or {trained}"
            )
        if file:
            return load_propagation(Path(file), runner.device, flow=name)
        settings = PropagationSettings(classes=runner.classes, flow=name, stride=runner.stride)
        return PropagationModel(settings).eval()

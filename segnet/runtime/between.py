"""What computes frames between keyframes on another runtime: AR-Seg's branch with its fusion, a head's step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from ..errors import ModelError
from ..fusion import AlteringResolution, Carried, EvidenceFusion, Motion, WarpOnly
from ..propagation import PropagationFrame, PropagationModel
from .branches import BranchGraph, branch_graphs, head_graph
from .cache import fingerprint
from .conversion import onnx_model, openvino_model
from .engines import GraphEngine, network_threads
from .exported import BRANCH
from .graphs import CHECKED_HW, convert_checked
from .names import require
from .network import runs_in_torch
from .placing import no_int8, quantised_beside

_ENGINES: WeakValueDictionary[tuple[str, str, int], GraphEngine] = WeakValueDictionary()


class RuntimeFrames:
    """AR-Seg's frames between keyframes on "openvino" or "onnx": LR branch, warp and fusion in one graph.

    Within `in_torch()` the branch itself runs. ModelError where it cannot be converted, or `precision` ("fp32", "bf16",
    "int8") cannot be.
    """

    def __init__(self, branch: AlteringResolution, runtime: str, precision: str) -> None:
        self.branch, self.precision = branch, precision
        graph = branch_graphs(branch, CHECKED_HW)[0]
        self._inputs = tuple(graph.graph.inputs)
        self._engine = engine_of(graph, branch.low.weights_file, runtime, precision)

    def fuse(self, small: Tensor, carried: Carried, motion: Motion, picture_hw: tuple[int, int]) -> Tensor:
        """`AlteringResolution.fuse` for N shrunken frames of one keyframe, whose `carried` maps have a batch of 1."""
        low = self.branch.low
        if runs_in_torch():
            each = tuple(x.expand(len(small), -1, -1, -1) for x in carried)
            return self.branch.fuse(small, low.network.features(small), each, motion, picture_hw)
        given = frame_inputs(self.branch, small, carried, motion, picture_hw)
        given = {name: given[name] for name in self._inputs}
        frames = [
            run(self._engine, {name: x[i : i + 1] if len(x) > 1 else x for name, x in given.items()})[0]
            for i in range(len(small))
        ]
        return torch.cat(frames)


def frame_inputs(
    branch: AlteringResolution, small: Tensor, carried: Carried, motion: Motion, picture_hw: tuple[int, int]
) -> dict[str, Tensor]:
    """What the graph of frames between keyframes is given for `AlteringResolution.fuse`, by name; not all fusions use
    all of it."""
    stride = branch.low.feature_stride
    down, across = (
        cells * stride / side
        for cells, side in zip(carried[0].shape[-2:], branch.spanned(carried, picture_hw), strict=True)
    )
    displacement = motion.displacement
    if (down, across) != (1, 1):  # the graph takes the picture for whole cells
        displacement = displacement * displacement.new_tensor([down if branch.compat else across, down])
    return {
        "small": small,
        "displacement": displacement,
        "unreferenced": motion.unreferenced,
        "distance": motion.distance,
        **{f"carried{i}": each for i, each in enumerate(carried)},
    }


@dataclass(frozen=True, eq=False)
class RuntimeStep:
    """What a step made: see `PropagationStep`."""

    scores: Tensor
    validity: Tensor | None


class RuntimeSteps:
    """A propagation model's steps on "openvino" or "onnx"; frames, start and optical flow stay in torch.

    Within `in_torch()` the model itself runs. Raises as `RuntimeFrames`.
    """

    def __init__(self, model: PropagationModel, runtime: str, precision: str) -> None:
        self.model, self.runtime, self.precision = model, runtime, precision
        self._engines: dict[bool, tuple[tuple[str, ...], GraphEngine]] = {}
        self._engine(knows_validity=True)

    def warm_up(self, size_hw: tuple[int, int]) -> None:
        """Compile what pictures of a size need, motion being the codec's."""
        names, engine = self._engine(knows_validity=True)
        example = head_graph(self.model, (size_hw,)).tried[size_hw]
        run(engine, {name: example[name][:1] for name in names})

    def step(
        self,
        scores: Tensor,
        frame: PropagationFrame,
        *,
        reference: PropagationFrame,
        displacement: Tensor | None = None,
        validity: Tensor | None = None,
        nearest: Tensor | None = None,
    ) -> RuntimeStep:
        """As `PropagationModel.step`, for one frame."""
        if displacement is None:
            displacement = self.model.motion(frame, reference)
        if runs_in_torch():
            made = self.model.step(
                scores, frame, reference=reference, displacement=displacement, validity=validity, nearest=nearest
            )
            return RuntimeStep(made.scores, made.validity)
        names, engine = self._engine(knows_validity=validity is not None)
        given = step_inputs(scores, frame, reference, displacement, validity, nearest)
        found = run(engine, {name: given[name] for name in names})
        return RuntimeStep(found[0], found[1] if len(found) > 1 else validity)

    def _engine(self, *, knows_validity: bool) -> tuple[tuple[str, ...], GraphEngine]:
        """The names of a graph's inputs, and what runs it."""
        if knows_validity not in self._engines:
            graph = head_graph(self.model, CHECKED_HW, knows_validity=knows_validity)
            weights = self.model.weights_file if knows_validity else None
            precision = self.precision if knows_validity or self.precision != "int8" else "fp32"
            engine = engine_of(graph, weights, self.runtime, precision, settings=self.model.settings.to_json())
            self._engines[knows_validity] = tuple(graph.graph.inputs), engine
        return self._engines[knows_validity]


def step_inputs(
    scores: Tensor,
    frame: PropagationFrame,
    reference: PropagationFrame,
    displacement: Tensor,
    validity: Tensor | None,
    nearest: Tensor | None,
) -> dict[str, Tensor]:
    """What the graph of a head's step is given for `PropagationModel.step` of one frame, by name."""
    if nearest is None:
        rows, columns = scores.shape[-2:]
        nearest = torch.arange(rows * columns).view(1, rows, columns)
    return {
        "scores": scores,
        "displacement": displacement,
        "frame": frame.reduced,
        "nearest": nearest,
        "reference": reference.reduced,
        **({} if validity is None else {"validity": validity}),
    }


def fuses_well(branch: AlteringResolution, runtime: str) -> bool:
    """Whether a branch with its fusion is faster as one graph of a runtime than with the fusion in torch: not CReFF's
    attention, and not on ONNX Runtime (56 ms a frame of 480x360 with the shipped branch, in place of about 35)."""
    return runtime == "openvino" and isinstance(branch.fusion, EvidenceFusion | WarpOnly)


def run(engine: GraphEngine, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """A graph of torch's tensors, in float32 or int64; without copies where they are contiguous."""
    given = {
        name: (value if value.dtype == torch.int64 else value.float()).detach().contiguous().numpy()
        for name, value in inputs.items()
    }
    return [torch.from_numpy(value) for value in engine(given)]


def engine_of(
    graph: BranchGraph, weights: Path | None, runtime: str, precision: str, **settings: object
) -> GraphEngine:
    """What runs a graph on a runtime: shared by all of the process, converted once on a machine; in "int8" the graph
    beside the `weights`."""
    require(runtime)
    threads = network_threads()
    names = list(graph.graph.inputs)
    key = fingerprint(graph.graph.module, {"runtime": runtime, "inputs": names, **settings}), precision, threads
    engine = _ENGINES.get(key)
    if engine is None:
        engine = _ENGINES[key] = _made(graph, weights, runtime, precision, key[0], threads)
    return engine


def _made(
    graph: BranchGraph, weights: Path | None, runtime: str, precision: str, key: str, threads: int
) -> GraphEngine:
    def convert() -> Any:
        return convert_checked(graph.graph, type(graph.graph.module).__name__, runtime, graph.tried)[0]

    if runtime == "onnx":
        from .engines import OnnxGraph

        return OnnxGraph(onnx_model(key, precision, convert, is_network=False), threads)
    from .engines import OpenVinoGraph

    def int8() -> Path:
        file = quantised_beside(weights, BRANCH)
        if file is None:
            raise ModelError(no_int8(weights))
        return file

    return OpenVinoGraph(openvino_model(key, precision, convert, int8, is_network=False), threads, precision)

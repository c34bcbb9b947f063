"""What belongs to a keyframe network as graphs: AR-Seg's branch with its fusion, and propagation heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..fusion import AlteringResolution, EvidenceFusion, Motion
from ..propagation import PropagationModel
from .graphs import EXAMPLE_HW, LOGITS, PICTURES, Graph, noise

Size = tuple[int, int]

SCORES, VALIDITY = "made_scores", "made_validity"
"""The outputs of a propagation head's graph; the latter of one that compares colours."""

MOTION = "backward map to the keyframe, x before y, float32 (N, h, w, 2)"


class AlteredFrames(nn.Module):
    """AR-Seg's frames between keyframes: from shrunken pictures, motion and what is carried, to logits.

    Only a fusion that `uses_evidence` is given the cells that motion cannot explain and the distance: exporters drop
    inputs that nothing follows from.
    """

    def __init__(self, branch: AlteringResolution) -> None:
        super().__init__()
        self.branch = branch
        self.uses_evidence = isinstance(branch.fusion, EvidenceFusion)

    def forward(self, small: Tensor, displacement: Tensor, *rest: Tensor) -> Tensor:
        """See `AlteringResolution.fuse`; the picture is taken to be whole cells of the network's stride.

        `rest` is what is carried, after unreferenced cells and distance where these are used.
        """
        low = self.branch.low
        unreferenced, distance, *carried = rest if self.uses_evidence else (small, small, *rest)
        motion = Motion(displacement, unreferenced, distance)
        height, width = (cells * low.feature_stride for cells in carried[0].shape[-2:])
        return self.branch.fuse(small, low.network.features(small), tuple(carried), motion, (height, width))


class CarriedMaps(nn.Module):
    """What AR-Seg's fusion makes of a keyframe, from its picture, features and logits: of all that it carries, those
    with the numbers `made`."""

    def __init__(self, branch: AlteringResolution, made: tuple[int, ...]) -> None:
        super().__init__()
        self.branch, self.made = branch, made

    def forward(self, images: Tensor, p: Tensor, logits: Tensor) -> tuple[Tensor, ...]:
        """See `Fusion.carry`."""
        carried = self.branch.fusion.carry(self.branch.low, images, p, logits)
        return tuple(carried[i] for i in self.made)


class HeadSteps(nn.Module):
    """A step of a propagation head, from motion that is told; with its validity where `knows_validity`.

    A head that compares colours also takes the reference's reduced frame, and gives the validity that it made of it.
    """

    def __init__(self, model: PropagationModel, *, knows_validity: bool) -> None:
        super().__init__()
        self.model, self.knows_validity = model, knows_validity

    def forward(
        self, scores: Tensor, displacement: Tensor, frame: Tensor, nearest: Tensor, *rest: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        """See `PropagationModel.step`; `rest` is the validity and the reference's reduced frame, as far as used."""
        told = list(rest)
        validity = told.pop(0) if self.knows_validity else None
        if not self.model.settings.photometric:
            return self.model.head.step(scores, displacement, frame, validity, nearest).scores
        validity = self.model.compared(frame, told.pop(0), displacement, validity)
        return self.model.head.step(scores, displacement, frame, validity, nearest).scores, validity


@dataclass(frozen=True, eq=False)
class BranchGraph:
    """A graph with what its card says: `name` goes into the file's name ("" for the main graph), `inputs` says what
    each input is, `tried` are inputs for a comparison with torch, by the picture's size."""

    name: str
    graph: Graph
    inputs: Mapping[str, str]
    tried: Mapping[Size, Mapping[str, Tensor]]


def branch_graphs(branch: AlteringResolution, sizes: tuple[Size, ...]) -> list[BranchGraph]:
    """The graph of frames between keyframes and, where the fusion makes more of a keyframe than its features or logits,
    "keyframe", which makes what is carried.

    What is carried as it is, such as the logits, is no output of that graph: OpenVINO 2026.4 does not copy an input
    that is an output where sizes are free.
    """
    is_ours = isinstance(branch.fusion, EvidenceFusion)
    graphs = []

    def keyframe(size_hw: Size) -> dict[str, Tensor]:
        grid = branch.low.grid(size_hw)
        p = noise(2, branch.low.feature_channels, *grid)
        return {PICTURES: noise(2, 3, *size_hw), "features": p, LOGITS: noise(2, len(branch.low.classes), *grid)}

    def kept_of(given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return branch.fusion.carry(branch.low, *given.values())

    def frames(size_hw: Size) -> dict[str, Tensor]:
        carried = kept_of(keyframe(size_hw))
        grid = branch.low.grid(size_hw)
        return {
            "small": noise(2, 3, *branch.low.low_size(size_hw)),
            "displacement": 5 * noise(2, *grid, 2),
            **(
                {"unreferenced": (noise(2, *grid) > 1).float(), "distance": torch.tensor([1.0, 7.0])} if is_ours else {}
            ),
            **{f"carried{i}": each for i, each in enumerate(carried)},
        }

    about = {
        "small": f"images at {branch.low.scale:g} of their sides, averaged over areas, in whole cells of "
        f"{branch.low.feature_stride} pixels; less mean, divided by std, float32 (N, 3, h', w')",
        "displacement": f"pixels: {MOTION}",
        "unreferenced": "0..1, cells that motion cannot explain, float32 (N, h, w)",
        "distance": "frames since the keyframe, float32 (N,)",
    }
    example = frames(EXAMPLE_HW)
    about = {name: text for name, text in about.items() if name in example}
    given, made = keyframe(EXAMPLE_HW), []
    for i, each in enumerate(kept_of(given)):
        known = [name for name, value in given.items() if value is each]
        if not known:
            made.append(i)
        about[f"carried{i}"] = (
            f"{known[0]} of the keyframe, not warped" if known else "of the graph 'keyframe', not warped"
        )
    fixed = {"displacement": (3,), "unreferenced": (), "distance": ()}
    graphs.append(
        BranchGraph(
            "", Graph(AlteredFrames(branch), example, (LOGITS,), fixed), about, {size: frames(size) for size in sizes}
        )
    )
    if made:
        about = {
            PICTURES: "the keyframe's",
            "features": "the keyframe network's features",
            LOGITS: "the keyframe network's logits",
        }
        carrying = Graph(CarriedMaps(branch, tuple(made)), given, tuple(f"carried{i}" for i in made), {})
        graphs.append(BranchGraph("keyframe", carrying, about, {size: keyframe(size) for size in sizes}))
    return graphs


def head_graph(model: PropagationModel, sizes: tuple[Size, ...], *, knows_validity: bool = True) -> BranchGraph:
    """The graph of a head's step; without `knows_validity`, of one whose motion is not said to be in doubt anywhere."""
    settings = model.settings
    knows_validity = knows_validity and (settings.validity or settings.refining or settings.photometric)

    def inputs(size_hw: Size) -> dict[str, Tensor]:
        grid = settings.grid_hw(size_hw)
        cells = grid[0] * grid[1]
        scores = noise(2, len(settings.classes), *grid)
        found = {
            "scores": scores.softmax(1) if settings.probabilities else scores,
            "displacement": noise(2, *grid, 2),
            "frame": noise(2, 3, *grid),
            "nearest": (torch.arange(2 * cells).view(2, *grid) * 7) % cells,
        }
        if knows_validity:
            found["validity"] = (noise(2, 1, *grid) < 1).float()
        if settings.photometric:
            found["reference"] = 0.9 * found["frame"]
        return found

    fixed = {"displacement": (3,), "nearest": ()}
    reduced = "RGB averaged over cells, less mean, divided by std, float32 (N, 3, h, w)"
    about = {
        "scores": "the reference's, probabilities" if settings.probabilities else "the reference's, logits",
        "displacement": f"cells of {settings.stride} pixels: {MOTION}",
        "frame": reduced,
        "validity": "0..1, where the motion can be trusted, float32 (N, 1, h, w)",
        "nearest": "flat index of the cell that each is mixed with, its own where motion is known, int64 (N, h, w)",
        "reference": f"the reference's frame: {reduced}",
    }
    example = inputs(EXAMPLE_HW)
    about = {name: text for name, text in about.items() if name in example}
    outputs = (SCORES, VALIDITY) if settings.photometric else (SCORES,)
    graph = Graph(HeadSteps(model, knows_validity=knows_validity), example, outputs, fixed)
    return BranchGraph("", graph, about, {size: inputs(size) for size in sizes})

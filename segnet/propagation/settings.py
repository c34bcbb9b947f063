"""What a propagation head is: `PropagationSettings`, with the published form and the clean form as presets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ..errors import ModelError
from ..network import class_names
from ..networks import IMAGE_MEAN, IMAGE_STD
from .edges import EdgeRule

RGB = tuple[float, float, float]
SEQUENCES = ("classes", "mean", "std")


@dataclass(frozen=True, kw_only=True)
class PropagationSettings:
    """Everything that decides a propagation head's shapes and arithmetic. The defaults are the clean form.

    Attributes:
        classes: names, in the order of the keyframe network's logits.
        mean, std: RGB, 0..255: the keyframe network's normalisation, which the head's frames share.
        flow: motion source the head was trained with: a key of FLOW_SOURCES, or "motion" for the codec's vectors.
        recursive: carry from frame to frame (True) or from the keyframe, by composed motion.
        stride: side of the head's cells in pixels.
        width: channels of the intra network and of the guiding network's first level; 32 in the published form.
        edges: the guide's edge channel, by rule; None leaves it out ("without edge").
        validity: a guide channel with 1 - validity of the motion.
        dead_map: the published bank's ninth map, which is zero everywhere.
        softmax: shares by softmax instead of ReLU and division by the sum.
        probabilities: carry class probabilities and mix them with the intra network's, instead of raw logits.
        border: what lies outside the frame, for the warp and for the shifts: zeros, or the border's values.
        corner_aligned: resizes between picture and grid are bilinear with `align_corners=True` on a grid of
            floor(H / stride) rows; otherwise cells are means of their pixels, ceil(H / stride) rows, and
            `align_corners=False` leads back.
        bgr: frames in the order blue, green, red.
        refining: the guide also sees the warped scores, and adds evidence to the filtered ones' logarithms where
            validity is low, for what no kernel can move into place. Not in the published form.
        evidence: what that evidence is multiplied with.
        photometric: validity is also lower where the warped reference's colours differ (`photometric_confidence`).
        native_keyframes: a keyframe's output is the keyframe network's own, not what the grid left of it.
    """

    classes: tuple[str, ...]
    mean: RGB = IMAGE_MEAN
    std: RGB = IMAGE_STD
    flow: str = "motion"
    recursive: bool = False
    stride: int = 8
    width: int = 32
    edges: EdgeRule | None = "any-neighbour"
    validity: bool = True
    dead_map: bool = False
    softmax: bool = True
    probabilities: bool = True
    border: Literal["zeros", "border"] = "border"
    corner_aligned: bool = False
    bgr: bool = False
    refining: bool = False
    evidence: float = 1.0
    photometric: bool = False
    native_keyframes: bool = True

    @classmethod
    def published(
        cls,
        classes: int | Sequence[str] = 19,
        *,
        edges: bool = True,
        flow: str = "light",
        mean: RGB = IMAGE_MEAN,
        std: RGB = IMAGE_STD,
    ) -> PropagationSettings:
        """The form of GSVNet's and SwNet-seq's released weights; `edges` False is SwNet-seq's "without edge"."""
        return cls(
            classes=class_names(classes),
            mean=mean,
            std=std,
            flow=flow,
            recursive=True,
            edges="index-difference" if edges else None,
            validity=False,
            dead_map=True,
            softmax=False,
            probabilities=False,
            border="zeros",
            corner_aligned=True,
            bgr=True,
            native_keyframes=False,
        )

    @property
    def guides(self) -> int:
        """Channels of the guiding network's input."""
        return (1 + self.refining) * len(self.classes) + (self.edges is not None) + self.validity

    def grid_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the grid of a picture of this size."""
        height, width = size_hw
        if self.corner_aligned:
            return max(1, height // self.stride), max(1, width // self.stride)
        return -(-height // self.stride), -(-width // self.stride)

    def to_json(self) -> str:
        """As text, for a weight file's metadata."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, file: Path) -> PropagationSettings:
        """What `to_json` wrote into `file`; ModelError where a newer version did, or something else."""
        values: Any = json.loads(text)
        known = {field.name for field in fields(cls)}
        strange = sorted(values.keys() - known) if isinstance(values, dict) else ["no settings"]
        lacking = [name for name in SEQUENCES if not isinstance(values, dict) or name not in values]
        if strange or lacking:
            raise ModelError(
                f"'{file}' has settings that this version does not know: {', '.join(strange) or 'no ' + lacking[0]}; "
                "update gopseg, or train or import the head again"
            )
        sequences = {name: tuple(values[name]) for name in SEQUENCES}
        return cls(**{**values, **sequences})

"""`Dataset`: what the rest of gopseg knows of a data set, and all that a new one has to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ..palettes import Palette
from ..sample import VOID, DatasetError
from .pairing import LabelledImages
from .sequences import LabelledSequence

if TYPE_CHECKING:
    from .layouts import ProcessedFrames


class Dataset(ABC):
    """Images with labels in `root`, as labelled stills and, where they are video, as sequences.

    The facts, which do not change once the data set is open; those of a data set with a name are attributes of its
    class, so that they are known without its files:

    - `name` is what command lines call it, `title` what reports do;
    - `palette` has the names and colours of its classes, `classes` the names, class i being label i; `void` (255) is
      the label of pixels that count for nothing;
    - `frame_rate` is how many frames of its sequences make a second;
    - `licence` is the sentence that goes into the card of a model trained on it;
    - `splits` are the names that `stills` and `sequences` take;
    - `encodings` is how often a sequence of which every frame is labelled is encoded for accuracy by distance: None for
      once a distance, so that every frame is seen at all of them; 1 where there are enough sequences without that.

    A new data set is a subclass with these facts, `stills` and, for video, `sequences`, and a line in `DATASETS`.
    Nothing is read before `stills` or `sequences` is called. Raises DatasetError where `frames` (a folder of the whole
    recordings' frames) is given to a data set that has no use for it.
    """

    name: str
    title: str
    palette: Palette
    classes: tuple[str, ...]
    frame_rate: Fraction
    licence: str
    splits: tuple[str, ...] = ("train", "val", "test")
    encodings: int | None = None
    void: ClassVar[int] = VOID

    def __init__(self, root: str | Path, *, frames: str | Path | None = None) -> None:
        if frames is not None:
            raise DatasetError(f"--frames '{frames}': {self.title} keeps its frames in its own folder; leave it out")
        self.root = Path(root)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "palette" in cls.__dict__:
            cls.classes = cls.palette.names

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({str(self.root)!r}: {len(self.classes)} classes, splits {', '.join(self.splits)})"
        )

    @property
    def default_split(self) -> str:
        """`val`, or the last split where there is none of this name."""
        return "val" if "val" in self.splits else self.splits[-1]

    @abstractmethod
    def stills(self, split: str) -> LabelledImages:
        """The labelled frames of a split, each a `Sample`; DatasetError where files are missing."""

    def sequences(self, split: str) -> Sequence[LabelledSequence]:
        """The recordings of a split, with labels for some or all of their frames.

        DatasetError where the data set, or this split, is no video, and where files are missing.
        """
        raise DatasetError(f"'{self.root}': {self.title} {split} is no video; take its stills")

    def processed(self, split: str) -> ProcessedFrames | None:  # noqa: ARG002
        """What AR-Seg's scripts made of a split, where `root` is such a folder, as 3M-GOP12; None elsewhere."""
        return None

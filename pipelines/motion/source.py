"""`MotionSource`: how frames are followed back to a reference frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from ...codec import Frame, MotionField


class MotionSource(ABC):
    """Follows the frames of one stream, in display order, back to a reference frame.

    `stage` is the name of its timing. `reads_codec` tells whether it needs vectors that mean 'the previous frame', or
    references. `mixes_lost`: cells whose way is lost are worth mixing with the nearest one whose way is not.
    """

    stage: ClassVar[str]
    reads_codec: ClassVar[bool]
    mixes_lost: ClassVar[bool]

    def is_other_stream(self, frame: Frame) -> bool:  # noqa: ARG002
        """Whether the frame begins another stream, as after a lost connection: nothing leads back beyond it."""
        return False

    @property
    def reads_images(self) -> bool:
        """Whether it looks at every frame's image on the CPU."""
        return False

    @abstractmethod
    def observe(self, frame: Frame, *, anew: bool) -> Frame:
        """Follow the next frame. Returns the reference that it leads to, the frame itself where motion begins at it:
        because the source can follow no further, or because it is to begin `anew`."""

    @abstractmethod
    def begin_at(self, frame: Frame) -> None:
        """Make the frame that was observed last the reference."""

    @abstractmethod
    def field(self, frame: Frame) -> MotionField:
        """The motion from the frame that was observed last to the reference, in pixels; `unreferenced` are the cells
        whose way is lost."""


def index_in_stream(frame: Frame) -> int:
    """The frame's display index in its own stream, by which motion is addressed, whatever a reader that joins streams
    made of it."""
    return frame.index if frame.references is None else frame.references.index

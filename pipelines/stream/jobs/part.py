"""`Part`: a stretch of a file that is labelled as if all of it were; importing this takes no time."""

from __future__ import annotations

from dataclasses import dataclass

from ....codec import StartPoint


@dataclass(frozen=True)
class Part:
    """The frames whose times lie from `begin` to `end` (exclusive; None: the last is among them), in units of the
    stream's time base; `frames` of them by the container's account.

    Reading begins at the keyframe `lead`, some frames before, for what modes remember of the GOP before a keyframe;
    None: at the file's first frame. With `is_cut`, a keyframe of the stream must stand at `begin`.
    """

    number: int
    lead: StartPoint | None
    begin: int
    end: int | None
    frames: int
    is_cut: bool

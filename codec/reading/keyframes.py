"""Where distances are counted from: the stream's keyframes and, where it has too few, frames by distance."""

from __future__ import annotations

REFRESH_GOP = 12
"""Frames from one keyframe to the next in streams that have none of their own (periodic intra refresh)."""

LONGEST_GOP = 300
"""Frames without a keyframe after which a stream counts as one that has none; x264's default is 250."""


class KeyframePolicy:
    """Says of each frame in display order whether it is a keyframe.

    Keyframes are those of the stream (H.264: IDR pictures and intra-coded ones with a recovery point; an intra-coded
    picture without is none, since later ones may refer to what came before it), the first frame, and the first of
    another size. With `gop_max`, one comes after so many frames at the latest; without, after REFRESH_GOP frames in
    streams with periodic intra refresh. Such a one is never a B-frame: later frames do not refer to those.
    """

    def __init__(self, gop_max: int | None) -> None:
        self._gop_max = gop_max
        self._size_hw: tuple[int, int] | None = None
        self._is_without = False
        self.distance = 0
        """Frames since the keyframe."""

    def step(self, is_marked: bool, pict_type: str, size_hw: tuple[int, int], has_intra_refresh: bool) -> bool:
        """Take the next frame; `is_marked` is whether the stream calls it a keyframe."""
        following = self.distance + 1
        self._is_without = not is_marked and (self._is_without or following >= LONGEST_GOP)
        gop = self._gop_max
        if gop is None and (has_intra_refresh or self._is_without):
            gop = REFRESH_GOP
        is_due = gop is not None and following >= gop and pict_type != "B"
        is_keyframe = is_marked or size_hw != self._size_hw or is_due
        self._size_hw = size_hw
        self.distance = 0 if is_keyframe else following
        return is_keyframe

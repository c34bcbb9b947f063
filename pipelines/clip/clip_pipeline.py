"""Mode `clip`: every frame seen together with earlier ones, each of which is encoded only once."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch

from ...codec import Frame, SignalReader
from ...segnet import MRCFA, Encoded, Tokens
from ..errors import StreamUsageError
from ..pipeline import Pipeline, Scored
from ..runner import NetworkRunner
from ..timing import unclocked
from .references import CHOICES, Moment

MOST_KEPT = 64
"""Frames that are kept at most, however high the frame rate; about 2 MB each at 480x864 with b1."""

_MARGIN = 1.25  # a frame a little older than asked for may still be the nearest


class ClipPipeline(Pipeline):
    """MRCFA (Sun et al., ECCV 2022) on a stream: each frame is encoded once, and its tokens serve the frames after it.

    `references` is how earlier frames are chosen (see `references`): 'seconds', 'fixed', 'guided' by the codec's
    motion, types, quantisers and by cuts, or 'published' as in the released code. The first frame, and with 'guided'
    the first after a cut, is its own reference; with 'published' it gets per-frame logits. Skipped frames are encoded
    only once a later frame refers to them.
    StreamUsageError where the network is no MRCFA or the choice is unknown.
    """

    needs_pictures = True

    def __init__(self, runner: NetworkRunner, *, keep_logits: bool = False, references: str = "seconds") -> None:
        super().__init__(runner, keep_logits=keep_logits)
        if not isinstance(runner.network, MRCFA):
            raise StreamUsageError(
                f"mode clip needs an MRCFA network, not {type(runner.network).__name__}; take --model FILE of one"
            )
        if references not in CHOICES:
            raise StreamUsageError(f"--references {references}: unknown; take one of {', '.join(CHOICES)}")
        self.network = runner.network
        self.choice = CHOICES[references]()
        self._signals = SignalReader() if self.choice.uses_signals else None
        self._kept: deque[_Kept] = deque()
        self._now: _Kept | None = None
        self._size_hw: tuple[int, int] | None = None

    def _observe(self, frame: Frame) -> None:
        before, self._now = self._now, None
        if before is not None:
            self._kept.append(before)
        travelled, is_cut = self._motion_of(frame)
        if frame.size_hw != self._size_hw or is_cut:
            self._kept.clear()
            before = None
        self._size_hw = frame.size_hw
        moment = Moment(
            0 if before is None else before.moment.index + 1,
            frame.pts_seconds,
            travelled + (0.0 if before is None else before.moment.travelled),
            frame.pict_type == "I",
            None if frame.qp is None else float(frame.qp.mean()),
        )
        self._now = _Kept(moment, frame)
        while self._kept and self._is_old(self._kept[0].moment, moment):
            self._kept.popleft()

    def _segment(self, frame: Frame) -> Scored:
        assert self._now is not None
        places = self.choice.choose([kept.moment for kept in self._kept], self._now.moment)
        self.runner.picture(frame, self._clock)
        with self._clock("network"), torch.inference_mode(), self.runner.autocast():
            target = self._encode(frame)
            self._now.keep(target.tokens)
            references = [self._tokens(self._kept[place]) for place in places]
            if not references and not self.choice.alone_per_frame:
                references = [target.tokens]
            logits = self.network.segment(target, references, frame.size_hw)[0]
            return Scored(self.runner.kept(logits[None], frame.size_hw))

    def _encode(self, frame: Frame) -> Encoded:
        return self.network.encode(self.network.normalise(self.runner.picture(frame, unclocked)))

    def _tokens(self, kept: _Kept) -> Tokens:
        if kept.tokens is None:
            assert kept.frame is not None
            kept.keep(self._encode(kept.frame).tokens)
        assert kept.tokens is not None
        return kept.tokens

    def _motion_of(self, frame: Frame) -> tuple[float, bool]:
        """The mean length of a frame's motion as a share of its height, and whether it is a cut."""
        if self._signals is None:
            return 0.0, False
        with self._clock("signals"):
            signals = self._signals.update(frame)
            if signals.motion is None:
                return 0.0, bool(signals.is_cut)
            lengths = np.linalg.norm(signals.motion.displacement, axis=-1)
        return float(lengths.mean() / frame.size_hw[0]), bool(signals.is_cut)

    def _is_old(self, moment: Moment, now: Moment) -> bool:
        """Whether no later frame will refer to a moment."""
        if len(self._kept) > MOST_KEPT:
            return True
        if self.choice.seconds and moment.seconds is not None and now.seconds is not None:
            return now.seconds - moment.seconds > _MARGIN * self.choice.seconds
        return now.index - moment.index > self.choice.frames


@dataclass
class _Kept:
    """A frame that later ones may refer to; its picture until it is encoded, then its tokens."""

    moment: Moment
    frame: Frame | None
    tokens: Tokens | None = None

    def keep(self, tokens: Tokens) -> None:
        self.tokens, self.frame = tokens, None

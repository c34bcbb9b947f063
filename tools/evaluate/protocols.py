"""The protocols of `evaluate-segnet`: which streams of frames a data set becomes, and which of their frames count."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from ...codec import Frame, open_video
from ...data import Clip, LabelledSequence, ProcessedFrame, ProcessedFrames, dense_clips, sparse_clips
from ...segnet import FLOWS, Flow
from .measuring import (
    LONGEST_GOP,
    Encoding,
    Evaluation,
    FlowMatcher,
    Labels,
    Matcher,
    PairMotion,
    encode_by_defaults,
    encode_clip,
    follow_codec,
    no_match,
)
from .processed_frames import frames_of

Consistency = Literal["flow", "raft", "codec", "none"]

COUNTED = 8
"""Frames on which operations are counted where GOPs are not ours."""


@dataclass(frozen=True)
class ClipProtocol:
    """Clips of labelled sequences, encoded here.

    Dense: every frame is labelled; each sequence is encoded once for each of its first `gop` starts, or of the first
    `starts`, and every frame is segmented. Sparse: each labelled frame is encoded at each distance, and what lies
    between is only passed over, so that there are no neighbours to be consistent with.

    Where the `encoding` is libx264's own, densely labelled sequences are in GOPs of up to LONGEST_GOP frames, and are
    read with recovered references.
    """

    sequences: Sequence[LabelledSequence]
    is_dense: bool
    frame_rate: float
    consistency: Consistency = "flow"
    starts: int | None = None
    encoding: Encoding = "gops"

    @property
    def gop(self) -> int:
        """The longest GOP there can be by the defaults of libx264."""
        return min(LONGEST_GOP, max(len(sequence) for sequence in self.sequences))

    @property
    def name(self) -> str:
        """'dense' or 'sparse'."""
        return "dense" if self.is_dense else "sparse"

    @property
    def labelled_frames(self) -> int:
        """How many frames are labelled."""
        return sum(len(sequence.label_files) for sequence in self.sequences)

    def clips(self, gop: int) -> list[Clip]:
        """Every clip that the protocol shows."""
        cut = partial(dense_clips, starts=self.starts) if self.is_dense else partial(sparse_clips, cut_after_last=False)
        return [clip for sequence in self.sequences for clip in cut(sequence, gop)]

    def scored_frames(self, gop: int) -> int:
        """How many labelled frames all clips show together."""
        return sum(len(clip.scored) for clip in self.clips(gop))

    def subject(self, gop: int) -> str:
        """The labelled frame to be shown in reports: one from the middle that is seen at every distance."""
        sequence = self.sequences[0]
        labelled = sorted(sequence.label_files)
        late = [position for position in labelled[len(labelled) // 2 :] if position >= gop - 1]
        return sequence.frame_name(late[0] if late else labelled[-1])

    def run(self, evaluation: Evaluation, gop: int, bitrate_bps: int, on_scored: Callable[[int], object]) -> None:
        """Encode every clip and show it to `evaluation`."""
        flow = FLOWS["raft"]() if self.is_dense and self.consistency == "raft" else None
        matcher: Matcher = no_match
        matched: LabelledSequence | None = None
        is_ours = self.encoding == "gops"
        reads = {"qp": evaluation.reads_qp, "references": not is_ours}
        with tempfile.TemporaryDirectory() as folder:
            for i, clip in enumerate(self.clips(gop)):
                if clip.sequence is not matched:  # only one sequence's motion is kept: 12 bytes a pixel and frame
                    matcher, matched = self._matcher(clip.sequence, flow), clip.sequence
                file = Path(folder) / "clip.mp4"
                if is_ours:
                    encode_clip(clip, file, bitrate_bps=bitrate_bps, frame_rate=self.frame_rate)
                else:
                    encode_by_defaults(clip, file, frame_rate=self.frame_rate)
                if i == 0:
                    evaluation.count_operations(partial(_frames_of, file, gop if is_ours else COUNTED, **reads))
                last = max(clip.scored) + 1
                with _opened(file, last, **reads) as frames:
                    evaluation.run(
                        frames,
                        partial(_labels_of, clip, frozenset(clip.scored)),
                        name=partial(self._name_of, clip),
                        match=partial(_match_of, clip, matcher),
                        every_frame=self.is_dense,
                        size_hw=_size_hw(clip.sequence),
                    )
                on_scored(len(clip.scored))

    def _name_of(self, clip: Clip, index: int) -> str:
        """The frame's name; with its sequence's, where it is not the subject's, since many have equal names (VSPW)."""
        name = clip.sequence.frame_name(clip.start + index)
        return name if clip.sequence is self.sequences[0] else f"{clip.sequence.name}/{name}"

    def _matcher(self, sequence: LabelledSequence, flow: Flow | None) -> Matcher:
        if not self.is_dense or self.consistency == "none":
            return no_match
        if self.consistency == "codec":
            return partial(follow_codec, size_hw=_size_hw(sequence))
        return FlowMatcher(sequence, flow)


@dataclass(frozen=True)
class ProcessedProtocol:
    """AR-Seg's processed folders: a decoded keyframe, the decoded labelled frame, and the composed motion between."""

    data: ProcessedFrames
    limit: int | None = None

    name = "ar-seg"
    is_dense = False

    @property
    def labelled_frames(self) -> int:
        """How many frames are labelled."""
        return len(self._at(0))

    def scored_frames(self, gop: int) -> int:
        """How many labelled frames all distances show together."""
        return gop * self.labelled_frames

    def subject(self, gop: int) -> str:  # noqa: ARG002
        """The labelled frame to be shown in reports."""
        return self._at(0)[0].name

    def run(self, evaluation: Evaluation, gop: int, bitrate_bps: int, on_scored: Callable[[int], object]) -> None:  # noqa: ARG002
        """Show every pair of frames to `evaluation`; the folder's GOP and bitrate are what they are."""
        for d in range(gop):
            for i, processed in enumerate(self._at(d)):
                frames = partial(frames_of, processed)
                if i == 0 and d == 1:
                    evaluation.count_operations(frames)
                evaluation.run(frames(), partial(self._labels, processed), name=lambda _, p=processed: p.name)  # type: ignore[misc]
                on_scored(1)

    def _at(self, distance: int) -> list[ProcessedFrame]:
        return self.data.at(distance)[: self.limit]

    def _labels(self, processed: ProcessedFrame, index: int) -> Labels | None:
        return self.data.read_labels(processed.label) if index == processed.distance else None


Protocol = ClipProtocol | ProcessedProtocol


def _size_hw(sequence: LabelledSequence) -> tuple[int, int]:
    height, width = sequence.image(0).shape[:2]
    return height, width


@contextmanager
def _opened(file: Path, count: int, *, qp: bool, references: bool) -> Iterator[Iterator[Frame]]:
    with open_video(file, qp=qp, references=references) as video:
        yield islice(video, count)


def _frames_of(file: Path, count: int, *, qp: bool, references: bool) -> Iterator[Frame]:
    with _opened(file, count, qp=qp, references=references) as frames:
        yield from frames


def _labels_of(clip: Clip, scored: frozenset[int], index: int) -> Labels | None:
    return clip.labels(index) if index in scored else None


def _match_of(clip: Clip, matcher: Matcher, frame: Frame) -> PairMotion:
    return matcher(clip.start + frame.index, frame)

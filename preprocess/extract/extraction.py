"""One video's codec metadata to one archive."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...codec import (
    CompressedVideo,
    Frame,
    InvalidDataError,
    MotionAbsence,
    MotionUnavailableError,
    SignalReader,
    disk_errors,
    source_files,
)
from ...files import refuse_taken
from ..jobs import READERS, sha256_of_source, stamp_of
from .archive import CONVENTIONS, QUARTER, SCHEMA_VERSION, UNKNOWN_PTS, UNKNOWN_QP, fields_of
from .archive_writer import ArchiveWriter
from .array_names import ARRAYS, OPTIONAL, RECOVERED, SIGNALS, in_order
from .motion_records import PreviousFrames, RecoveredReferences, with_known_vectors

_NEED_MOTION = frozenset({"motion", "composed", "intra"})
_MOST_PIXELS = (1 << 15) // QUARTER  # displacements reach across the picture, and int16 holds no more


class _ReferencesNeededError(Exception):
    """The vectors point to several pictures, which takes a pass with pixels to find out; `by_order` as in `run`."""

    def __init__(self, by_order: bool) -> None:
        super().__init__()
        self.by_order = by_order


def extract(
    source: str,
    file: Path,
    *,
    arrays: Collection[str] = OPTIONAL,
    reader: str = "av",
    stream: int | None = None,
    replace: bool = True,
    on_frame: Callable[[], object] | None = None,
    on_packing: Callable[[int], Callable[[int], object]] | None = None,
) -> dict[str, Any]:
    """Write the metadata of the video `source` to `file`, which appears when it is whole; returns the archive's `meta`.

    `arrays` names those of `ARRAYS` to write. It takes constant memory and one pass without pixels, but one with pixels
    for `SIGNALS`, and for motion in streams whose vectors point to several pictures; where such a stream does not say
    so at first, the pass begins again. `reader` is one of `READERS`, and `stream` the number of the video stream, None
    for the best. `on_frame` is called for each frame; `on_packing`, once with the bytes that are to be packed, gives
    what is then told of bytes done.

    Raises SourceError and InvalidDataError for input that cannot be read or changes size on the way,
    MotionUnavailableError where vectors are not exported, or mean fields (unless `arrays` has none that needs them),
    EncodeError where `file` cannot be written, and, with `replace` false, TargetExistsError where it is there, or is by
    the end.
    """
    if not replace:
        refuse_taken([file])
    task = _Extraction(source, file, in_order(arrays), reader, stream, replace, on_frame, on_packing)
    if source != "-":  # which can be read once only
        try:
            return task.run(recovers=False)
        except _ReferencesNeededError as error:
            return task.run(recovers=True, by_order=error.by_order)
    return task.run(recovers=reader == "av")


class _Extraction:
    def __init__(
        self,
        source: str,
        file: Path,
        arrays: list[str],
        reader: str,
        stream: int | None,
        replace: bool,
        on_frame: Callable[[], object] | None,
        on_packing: Callable[[int], Callable[[int], object]] | None,
    ) -> None:
        self._source, self._file, self._arrays, self._reader, self._replace = source, file, arrays, reader, replace
        self._stream = stream
        self._on_frame, self._on_packing = on_frame, on_packing
        self._wants_motion = not _NEED_MOTION.isdisjoint(arrays)

    def run(self, recovers: bool, by_order: bool = False) -> dict[str, Any]:
        """One pass; with `recovers` false _ReferencesNeededError where that would find motion.

        `by_order` is for codecs other than H.264, whose pictures may point to the two before that are no B-frames: it
        is so from the first frame on, whenever the first B-frame comes.
        """
        recovers &= self._wants_motion
        pixels = recovers or not set(SIGNALS).isdisjoint(self._arrays)
        more: dict[str, Any] = {"references": True} if recovers and not by_order else {}
        more["stream"] = self._stream
        with READERS[self._reader](self._source, qp="qp" in self._arrays, pixels=pixels, **more) as video:
            if max(video.size_hw) >= _MOST_PIXELS:
                raise InvalidDataError(
                    f"{video.name}: is {video.size_hw[1]}x{video.size_hw[0]}, and quarter pixels in 16 bits reach "
                    f"{_MOST_PIXELS - 1}; scale it down first"
                )
            self._check_motion(video, recovers)
            # where references may be found out, the archive has them even if that was not needed in the end
            absent = () if recovers else RECOVERED
            fields = {
                name: of
                for name, of in fields_of(video.size_hw).items()
                if name not in ARRAYS or (name in self._arrays and name not in absent)
            }
            composes = "composed" in fields
            previous = PreviousFrames(video.size_hw, composes=composes)
            motion = RecoveredReferences(video.size_hw, composes=composes) if recovers else previous
            with disk_errors(self._file), ArchiveWriter(self._file, fields, replace=self._replace) as writer:
                damaged = count = 0
                for frame, values in self._records(video, fields, motion, by_order):
                    writer.append(values)
                    damaged += frame.corrupt
                    count += 1
                    if self._on_frame is not None:
                        self._on_frame()
                meta = self._meta(video, fields, motion, count, damaged)
                writer.finish(
                    json.dumps(meta), None if self._on_packing is None else self._on_packing(writer.total_bytes)
                )
        return meta

    def _check_motion(self, video: CompressedVideo, recovers: bool) -> None:
        absence = video.motion_absence
        if not self._wants_motion or absence is None:
            return
        if absence.is_recoverable or absence is MotionAbsence.B_VECTORS:
            if recovers:
                return
            if self._reader == "av":
                raise _ReferencesNeededError(video.codec_name != "h264")
            way_out = "take --reader av, which finds the references"
        else:
            way_out = "run `preprocess encode` on it first"
        raise MotionUnavailableError(
            f"{video.name}: {absence.value}, so there is no motion to the previous frame to extract; {way_out}, or "
            "give --without motion,composed,intra"
        )

    def _records(
        self,
        video: CompressedVideo,
        fields: Collection[str],
        motion: PreviousFrames | RecoveredReferences,
        by_order: bool,
    ) -> Iterator[tuple[Frame, dict[str, NDArray[Any]]]]:
        recovers = isinstance(motion, RecoveredReferences)
        shapes = {name: shape for name, (_, shape) in fields_of(video.size_hw).items()}
        signals = SignalReader()
        for frame in with_known_vectors(video, by_order) if recovers else video:
            if frame.size_hw != video.size_hw:
                raise InvalidDataError(
                    f"{video.name}: frame {frame.index} is {frame.size_hw[1]}x{frame.size_hw[0]} after "
                    f"{video.size_hw[1]}x{video.size_hw[0]}; cut it there, or run `preprocess encode` on it first"
                )
            key_index = frame.index - frame.distance if frame.references is None else frame.references.key_index
            values: dict[str, NDArray[Any]] = {
                "pict_type": np.array(frame.pict_type, "<U1"),
                "pts": np.array(UNKNOWN_PTS if frame.pts is None else frame.pts, "<i8"),
                "packet_bytes": np.array(frame.packet_bytes, "<i8"),
                "key_index": np.array(key_index, "<i8"),
            }
            if "qp" in fields:
                values["qp"] = np.full(shapes["qp"] or (), UNKNOWN_QP, "i1") if frame.qp is None else frame.qp
            if self._wants_motion:
                self._check_motion(video, recovers)
                values |= motion.arrays(frame)
            if not set(SIGNALS).isdisjoint(fields):
                found = signals.update(frame)
                empty = np.zeros(shapes["residual"] or (), "u1")
                root = empty if found.energy is None else np.rint(np.sqrt(found.energy))
                values["residual"] = root.astype("u1")
                values["novelty"] = np.array(found.novelty, "<f4")
            yield frame, values

    def _meta(
        self,
        video: CompressedVideo,
        fields: Collection[str],
        motion: PreviousFrames | RecoveredReferences,
        count: int,
        damaged: int,
    ) -> dict[str, Any]:
        path, absence = Path(self._source), video.motion_absence
        is_file = path.is_file()
        recovered = isinstance(motion, RecoveredReferences) and absence is not None
        return {
            "schema_version": SCHEMA_VERSION,
            "size_hw": list(video.size_hw),
            "frame_count": count,
            "source": {
                "name": path.name if is_file else video.name,
                "sha256": sha256_of_source(path) if is_file else None,
                "bytes": stamp_of(source_files(path))[0] if is_file else None,
                "stream": video.stream_choice,
                "asked_stream": self._stream,
            },
            "codec": video.codec_name,
            "pixel_format": video.pixel_format,
            "rotation_degrees": video.rotation_degrees,
            "frame_rate": str(video.frame_rate),
            "time_base": str(video.time_base),
            "damaged_frames": damaged,
            "refused_packets": video.decode_errors,
            "asked": self._arrays,
            "arrays": [name for name in ARRAYS if name in fields],
            "references": ("recovered" if recovered else "previous") if self._wants_motion else None,
            "motion_absence": absence.name if self._wants_motion and absence is not None else None,
            "confidence_mean": motion.confidence_mean if isinstance(motion, RecoveredReferences) else None,
            "reader": self._reader,
            "gopseg": version("gopseg"),
            "conventions": dict(CONVENTIONS),
        }

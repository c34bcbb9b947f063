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
    MotionChain,
    MotionField,
    MotionUnavailableError,
    SignalReader,
    disk_errors,
)
from ...files import refuse_taken
from ..jobs import READERS, sha256_of
from .archive import CONVENTIONS, GRID, QUARTER, SCHEMA_VERSION, UNKNOWN_PTS, UNKNOWN_QP, fields_of
from .archive_writer import ArchiveWriter
from .array_names import ARRAYS, OPTIONAL, SIGNALS

_NEED_MOTION = frozenset({"motion", "composed", "intra"})
_MOST_PIXELS = (1 << 15) // QUARTER  # displacements reach across the picture, and int16 holds no more


def extract(
    source: str,
    file: Path,
    *,
    arrays: Collection[str] = OPTIONAL,
    reader: str = "av",
    replace: bool = True,
    on_frame: Callable[[], object] | None = None,
    on_packing: Callable[[int], Callable[[int], object]] | None = None,
) -> dict[str, Any]:
    """Write the metadata of the video `source` to `file`, which appears when it is whole; returns the archive's `meta`.

    One pass in constant memory, without pixels unless `arrays`, which names those of `ARRAYS` to write, has one of
    `SIGNALS`. `reader` is one of `READERS`. `on_frame` is called for each frame; `on_packing`, once with the bytes that
    are to be packed, gives what is then told of bytes done. Raises SourceError and InvalidDataError for input that
    cannot be read or changes size on the way, MotionUnavailableError where vectors do not mean "the frame before"
    (unless `arrays` has none that needs them), EncodeError where `file` cannot be written, and, with `replace` false,
    TargetExistsError where it is there, or is by the end.
    """
    if not replace:
        refuse_taken([file])
    wants_motion = not _NEED_MOTION.isdisjoint(arrays)
    with READERS[reader](source, qp="qp" in arrays, pixels=not set(SIGNALS).isdisjoint(arrays)) as video:
        _check(video, wants_motion)
        fields = {name: of for name, of in fields_of(video.size_hw).items() if name not in ARRAYS or name in arrays}
        with disk_errors(file), ArchiveWriter(file, fields, replace=replace) as writer:
            damaged = count = 0
            for frame, values in _records(video, fields, wants_motion):
                writer.append(values)
                damaged += frame.corrupt
                count += 1
                if on_frame is not None:
                    on_frame()
            meta = _meta(video, source, fields, reader, count, damaged)
            writer.finish(json.dumps(meta), None if on_packing is None else on_packing(writer.total_bytes))
    return meta


def _check(video: CompressedVideo, wants_motion: bool) -> None:
    if max(video.size_hw) >= _MOST_PIXELS:
        raise InvalidDataError(
            f"{video.name}: is {video.size_hw[1]}x{video.size_hw[0]}, and quarter pixels in 16 bits reach "
            f"{_MOST_PIXELS - 1}; scale it down first"
        )
    if wants_motion:
        _check_motion(video)


def _check_motion(video: CompressedVideo) -> None:
    if video.motion_absence is not None:
        raise MotionUnavailableError(
            f"{video.name}: {video.motion_absence.value}, so there is no motion to the previous frame to extract; run "
            "`preprocess encode` on it first, or give --without motion,composed,intra"
        )


def _records(
    video: CompressedVideo, fields: Collection[str], wants_motion: bool
) -> Iterator[tuple[Frame, dict[str, NDArray[Any]]]]:
    shapes = {name: shape for name, (_, shape) in fields_of(video.size_hw).items()}
    chain, signals = MotionChain(video.size_hw), SignalReader()
    for frame in video:
        if frame.size_hw != video.size_hw:
            raise InvalidDataError(
                f"{video.name}: frame {frame.index} is {frame.size_hw[1]}x{frame.size_hw[0]} after "
                f"{video.size_hw[1]}x{video.size_hw[0]}; cut it there, or run `preprocess encode` on it first"
            )
        values: dict[str, NDArray[Any]] = {
            "pict_type": np.array(frame.pict_type, "<U1"),
            "pts": np.array(UNKNOWN_PTS if frame.pts is None else frame.pts, "<i8"),
            "packet_bytes": np.array(frame.packet_bytes, "<i8"),
            "key_index": np.array(frame.index - frame.distance, "<i8"),
        }
        if "qp" in fields:
            values["qp"] = np.full(shapes["qp"], UNKNOWN_QP, "i1") if frame.qp is None else frame.qp
        if wants_motion:
            _check_motion(video)
            field = None if frame.motion is None else MotionField.from_vectors(frame.motion)
            values["motion"] = np.zeros(shapes["motion"], "<i2") if field is None else _quarters(field)
            values["intra"] = np.ones(shapes["intra"], "?") if field is None else field.unreferenced
            if "composed" in fields:
                if frame.distance == 0:
                    chain.reset()
                else:
                    chain.push(field)
                values["composed"] = _quarters(chain.compose(GRID))
        if not set(SIGNALS).isdisjoint(fields):
            found = signals.update(frame)
            root = np.zeros(shapes["residual"], "u1") if found.energy is None else np.rint(np.sqrt(found.energy))
            values["residual"] = root.astype("u1")
            values["novelty"] = np.array(found.novelty, "<f4")
        yield frame, values


def _quarters(field: MotionField) -> NDArray[np.int16]:
    quarters: NDArray[np.int16] = np.rint(field.displacement * np.float32(QUARTER)).astype(np.int16)
    return quarters


def _meta(
    video: CompressedVideo, source: str, fields: Collection[str], reader: str, count: int, damaged: int
) -> dict[str, Any]:
    path = Path(source)
    is_file = path.is_file()
    return {
        "schema_version": SCHEMA_VERSION,
        "size_hw": list(video.size_hw),
        "frame_count": count,
        "source": {
            "name": path.name if is_file else video.name,
            "sha256": sha256_of(path) if is_file else None,
            "bytes": path.stat().st_size if is_file else None,
        },
        "codec": video.codec_name,
        "pixel_format": video.pixel_format,
        "rotation_degrees": video.rotation_degrees,
        "frame_rate": str(video.frame_rate),
        "time_base": str(video.time_base),
        "damaged_frames": damaged,
        "refused_packets": video.decode_errors,
        "arrays": [name for name in ARRAYS if name in fields],
        "reader": reader,
        "gopseg": version("gopseg"),
        "conventions": dict(CONVENTIONS),
    }

"""`ExtractJob`: one video's metadata to one archive, as a job among many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...codec import InvalidDataError, declared_frames, source_files
from ..errors import OutputError
from ..jobs import sha256_of_source, stamp_of
from .archive import SCHEMA_VERSION, load_metadata
from .array_names import OPTIONAL, in_order
from .extraction import extract


@dataclass(frozen=True)
class ExtractJob:
    """The video `source_path`, the archive `output`, the arrays of ARRAYS in it, and the reader of READERS.

    `stream` is the number of the video stream, None for the best.

    With `may_replace` false an archive that another run makes meanwhile is left alone.
    """

    source_path: Path
    output: Path
    arrays: frozenset[str] = frozenset(OPTIONAL)
    reader: str = "av"
    may_replace: bool = True
    stream: int | None = None

    def without_replacing(self) -> ExtractJob:
        """The same job, with `may_replace` false."""
        return replace(self, may_replace=False)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The archive."""
        return (self.output,)

    def settings_record(self) -> dict[str, Any]:
        """The schema, the arrays that are asked for, and the reader."""
        return {"schema_version": SCHEMA_VERSION, "arrays": in_order(self.arrays), "reader": self.reader} | (
            {} if self.stream is None else {"stream": self.stream}
        )

    def source_stamp(self) -> list[int]:
        """Bytes and last change of the video, or of all files of a playlist."""
        return stamp_of(source_files(self.source_path))

    def frame_total(self) -> int | None:
        """Frames by the container's account."""
        return declared_frames(self.source_path, stream=self.stream)

    def is_finished(self) -> bool:
        """Whether the archive is whole and this video's; OutputError where it is something else."""
        if not self.output.exists():
            return False
        way_out = "give -y to replace it, or another folder"
        try:
            info = load_metadata(self.output, arrays=()).info
        except InvalidDataError as error:
            raise OutputError(f"{self.output}: exists and is no archive of this gopseg; {way_out}") from error
        record = self.settings_record()
        if (info["asked"], info["reader"]) != (record["arrays"], record["reader"]):
            raise OutputError(
                f"{self.output}: was written with the arrays {', '.join(info['asked'])} by the reader "
                f"{info['reader']}; {way_out}"
            )
        if info["source"].get("asked_stream") != self.stream:
            raise OutputError(f"{self.output}: is of another stream, {info['source'].get('stream')}; {way_out}")
        return bool(info["source"]["sha256"] == sha256_of_source(self.source_path))

    def run(self, on_frame: Callable[[], None] | None = None) -> dict[str, Any]:
        """Extract; returns the archive's `meta`. Raises what `extract` raises; nothing is left behind then."""
        return extract(
            str(self.source_path),
            self.output,
            arrays=self.arrays,
            reader=self.reader,
            stream=self.stream,
            replace=self.may_replace,
            on_frame=on_frame,
        )

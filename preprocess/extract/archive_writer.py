"""`ArchiveWriter`: arrays that grow frame by frame to one `.npz`, in constant memory."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from ...files import discard, part_of, publish, remove_abandoned

_CHUNK_BYTES = 1 << 18
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold: bytes repeat from run to run
_LZMA_FROM_BYTES = 1 << 12  # of one frame: small arrays gain nothing


class ArchiveWriter:
    """Writes what `np.savez` would, without holding it: a context manager.

    `append` spools one frame of every array to lightly compressed files in a hidden folder beside `file`, because a
    member's header needs the number of frames; `finish` packs them and renames the whole to `file` (with `replace`
    false, unless it is there by then). Without `finish` nothing is left. Displacements are packed by LZMA, a third
    smaller than by deflate, the others by deflate; NumPy reads both. `fields` gives name, dtype and shape for one frame
    of each array, None for the shape of one that has any number of rows a frame.
    """

    def __init__(
        self, file: Path, fields: Mapping[str, tuple[np.dtype[Any], tuple[int, ...] | None]], *, replace: bool = True
    ) -> None:
        self._file, self._fields, self._replace = file, dict(fields), replace
        remove_abandoned(file)
        self._folder = part_of(file)
        self._folder.mkdir()
        self._rows = dict.fromkeys(self._fields, 0)
        self._spools: dict[str, IO[bytes]] = {}
        try:
            for name in self._fields:
                spool = gzip.open(self._spool_path(name), "wb", compresslevel=1)  # noqa: SIM115 - closed by `close`
                self._spools[name] = cast(IO[bytes], spool)
        except BaseException:
            self.close()
            raise

    def _spool_path(self, name: str) -> Path:
        return self._folder / f"{name}.gz"

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove all that is not finished."""
        try:
            self._close_spools(quietly=True)
        finally:
            discard(self._folder)

    def _close_spools(self, quietly: bool) -> None:
        while self._spools:
            _, spool = self._spools.popitem()
            try:
                spool.close()
            except OSError:  # a full disk, which the write before has reported
                if not quietly:
                    raise

    @property
    def total_bytes(self) -> int:
        """Bytes of all arrays so far, unpacked."""
        return sum(self._rows[name] * self._row_bytes(name) for name in self._fields)

    def _row_bytes(self, name: str) -> int:
        dtype, shape = self._fields[name]
        return dtype.itemsize * int(np.prod(shape or (), dtype=np.int64))

    def append(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Add one frame; ValueError if an array is not of the dtype and shape agreed on, OSError from the disk."""
        for name, (dtype, shape) in self._fields.items():
            value = values[name]
            due = value.shape[:1] if shape is None else shape
            if value.dtype != dtype or value.shape != due:
                raise ValueError(f"{name} is {value.dtype} {value.shape}; it must be {dtype} {due}")
        for name, spool in self._spools.items():
            spool.write(values[name].tobytes())
            self._rows[name] += len(values[name]) if self._fields[name][1] is None else 1

    def finish(self, meta: str, on_bytes: Callable[[int], object] | None = None) -> None:
        """Pack everything, with `meta` as a 0-d string array, into `file`; `on_bytes` is told of bytes as they go.

        TargetExistsError where the file is there by then and is not to be replaced.
        """
        self._close_spools(quietly=False)
        packed = self._folder / "archive"
        with zipfile.ZipFile(packed, "w") as archive:
            for name in self._fields:
                with _member(archive, name, self._row_bytes(name)) as member:
                    self._copy(name, member, on_bytes)
            with _member(archive, "meta", 0) as member:
                member.write(_header(np.array(meta).dtype, ()))
                member.write(np.array(meta).tobytes())
        publish(packed, self._file, replace=self._replace)

    def _copy(self, name: str, member: IO[bytes], on_bytes: Callable[[int], object] | None) -> None:
        dtype, shape = self._fields[name]
        member.write(_header(dtype, (self._rows[name], *(shape or ()))))
        with gzip.open(self._spool_path(name), "rb") as spool:
            while chunk := spool.read(_CHUNK_BYTES):
                member.write(chunk)
                if on_bytes is not None:
                    on_bytes(len(chunk))
        self._spool_path(name).unlink()


def _member(archive: zipfile.ZipFile, name: str, row_bytes: int) -> IO[bytes]:
    info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
    is_large = name in ("motion", "composed") and row_bytes >= _LZMA_FROM_BYTES
    info.compress_type = zipfile.ZIP_LZMA if is_large else zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return archive.open(info, "w", force_zip64=True)


def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The head of an `.npy` file in C order."""
    file = io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()

"""The files of `evaluate-segnet`: `report.json`, `report.csv`, and the plain text that AR-Seg's users know."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import GopsegError
from ...files import whole_file

CSV_COLUMNS = ("mode", "variant", "gop", "bitrate_bps", "d", "miou")


def write_tables(folder: Path, records: Sequence[dict[str, Any]], settings: dict[str, Any]) -> None:
    """All files but the HTML: JSON, CSV (a row per variant and distance, then mean and min), and texts."""
    folder.mkdir(parents=True, exist_ok=True)
    report = without_nan({"modes": list(records), "settings": settings})
    write_whole(folder / "report.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    with whole_file(folder / "report.csv") as part, part.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(CSV_COLUMNS)
        for record in records:
            what = [record["mode"], record["variant"], record.get("gop", ""), record.get("bitrate_bps", "")]
            rows.writerows([*what, d, value] for d, value in enumerate(record.get("miou_d", [])))
            rows.writerows(
                [*what, name, record[f"miou_{name}"]] for name in ("mean", "pooled", "min") if f"miou_{name}" in record
            )
    for record in records:
        if "miou_d" in record:
            values = [*record["miou_d"], record["miou_mean"]]
            write_whole(folder / text_name(record, settings), "".join(f"{value:.18e}\n" for value in values))


class ReportError(GopsegError):
    """A report cannot be written."""


@contextmanager
def report_errors(folder: Path) -> Iterator[None]:
    """The disk's errors as ReportError: which file of the report in `folder` failed, and what remains of it."""
    before = _files(folder)
    try:
        yield
    except OSError as error:
        made = [name for name, inode in sorted(_files(folder).items()) if before.get(name) != inode]
        raise ReportError(
            f"{error.filename or folder}: cannot be written ({error.strerror}); of this report its folder has "
            f"{', '.join(made) or 'nothing'}, and the figures are on standard output"
        ) from error


def _files(folder: Path) -> dict[str, int]:
    """Names of files in a folder, and what tells new ones from those whose place they took."""
    return {file.name: file.stat().st_ino for file in folder.glob("[!.]*") if file.is_file()}


def write_whole(file: Path, text: str) -> None:
    """Write a text that appears under its name when it is whole."""
    with whole_file(file) as part:
        part.write_text(text, encoding="utf-8")


def text_name(record: dict[str, Any], settings: dict[str, Any]) -> str:
    """AR-Seg's name of a result file: `camvid-psp18-AR-0.5x-resolution-exp-GOP12-3M-evaluation.txt`.

    The kind is `1.0x` for HR, `0.5x` for LR, `AR-0.5x` for AR, and the variant's name for other modes.
    """
    mode, scale = record["mode"], record["options"].get("lr_scale")
    swept = scale is not None and len(record["options"]) == 1 and "@" not in record["variant"]
    kind = re.sub("[/:]", "_", record["variant"].replace(" ", "-"))
    if record["variant"] in ("hr", "frame"):
        kind = "1.0x"
    elif swept and mode in ("lr", "ar"):
        kind = f"{scale}x" if mode == "lr" else f"AR-{scale}x"
    dataset = settings["dataset"]
    backbone = record["backbone"].removeprefix(f"{dataset.removesuffix('12')}-")
    rate = settings.get("tag") or bitrate_tag(record["bitrate_bps"])
    return f"{dataset}-{backbone}-{kind}-resolution-exp-GOP{record['gop']}-{rate}-evaluation.txt"


def bitrate_tag(bitrate_bps: int) -> str:
    """Bits per second as in folder names: 3M, 750k, 2.5M."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if bitrate_bps >= size:
            return f"{bitrate_bps / size:g}{unit}"
    return str(bitrate_bps)


def without_nan(value: Any) -> Any:
    """The same structure with None for numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""`benchmark-codec signals`: cuts found on videos whose cuts are known by construction."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ....codec import SignalReader, open_video
from ....data import SyntheticStreet, read_image
from ....errors import InputError
from ...foreign_encodes import ONE_REFERENCE, encode_x264
from ..printing import report

_SIZE_HW = (360, 480)
ENCODINGS = {
    "ours, 750 kb/s": {"b": "750k", "x264-params": f"{ONE_REFERENCE}:keyint=12"},
    "ours, 3 Mb/s": {"b": "3M", "x264-params": f"{ONE_REFERENCE}:keyint=12"},
    "one reference, GOP 250, crf 30": {"crf": "30", "x264-params": f"{ONE_REFERENCE}:keyint=250"},
    "one reference, scenecut, crf 23": {"crf": "23", "x264-params": "ref=1:bframes=0:weightp=0:keyint=60"},
    "x264's defaults": {"crf": "23"},
}
"""x264 settings that each clip is encoded with."""

_Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """Images in order, and the indices of those that start another scene."""

    name: str
    images: Sequence[_Image]
    cuts: frozenset[int] = frozenset()


def measure_signals(camvid: Path, video: Path, cuts: tuple[int, ...], stills: str, seed: int) -> None:
    """Measure and report; the arguments are those of `benchmark-codec signals`."""
    clips = list(_clips(camvid, video, frozenset(cuts), stills, seed))
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="gopseg-signals-") as folder:
        bar = tqdm(total=len(clips) * len(ENCODINGS), disable=not sys.stderr.isatty(), leave=False, unit="encode")
        for clip in clips:
            for name, options in ENCODINGS.items():
                path = Path(folder) / "clip.mp4"
                encode_x264(path, clip.images, options)
                rows.append({"clip": clip.name, "encoding": name, "frames": len(clip.images)} | _judge(path, clip.cuts))
                bar.update()
        bar.close()
    report(
        stills=stills,
        seed=seed,
        total={kind: _total(rows, kind) for kind in ("with_pixels", "without_pixels")},
        by_encoding={
            name: _total([row for row in rows if row["encoding"] == name], "with_pixels") for name in ENCODINGS
        },
        by_clip={clip.name: _total([row for row in rows if row["clip"] == clip.name], "with_pixels") for clip in clips},
        clips=rows,
    )


def _clips(camvid: Path, video: Path, cuts: frozenset[int], stills: str, seed: int) -> Iterator[Clip]:
    rng = np.random.default_rng(seed)
    val = [read_image(path) for path in _images_in(camvid / "val")]
    if len(val) < 40:
        raise InputError(f"{camvid}: its val has {len(val)} frames, and 40 in a row are needed")
    for step in (1, 2, 3):
        yield Clip(f"CamVid val, {15 / step:g} Hz", val[::step])
    for rate, street in ((15, seed + 3), (7, seed + 4)):
        yield Clip(f"street, {rate} Hz", _street(street, 40, rate))
    with open_video(str(video), motion=False) as film_video:
        film = [_fit(frame.image) for frame in film_video]
    yield Clip(video.stem, film, cuts)
    files = _images_in(camvid / stills)
    order = rng.permutation(len(files))[:120]
    yield Clip(f"CamVid {stills} stills", [read_image(files[i]) for i in order], frozenset(range(1, len(order))))
    pieces = []
    for number in range(10):
        pieces += [
            _piece(rng, val),
            _street(seed + 10 + 2 * number, int(rng.integers(4, 13)), 15),
            _piece(rng, film, cuts),
            _street(seed + 11 + 2 * number, int(rng.integers(4, 13)), 15),
        ]
    yield _joined("joined scenes", pieces)
    starts = [0, 24, 8, 32, 16, 40]
    yield _joined("joined places of one drive", [val[start : start + 6] for start in starts])


def _images_in(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.glob("*") if path.suffix in (".png", ".webp", ".jpg"))
    if not found:
        raise InputError(f"{folder}: has no images; give the folder of CamVid's val, train and test by --camvid")
    return found


def _piece(rng: np.random.Generator, images: Sequence[_Image], cuts: frozenset[int] = frozenset()) -> list[_Image]:
    """A stretch of 4 to 15 images from anywhere, without a cut inside."""
    while True:
        count = int(rng.integers(4, 16))
        start = int(rng.integers(0, len(images) - count))
        if not any(start < cut < start + count for cut in cuts):
            return list(images[start : start + count])


def _street(seed: int, count: int, rate: int) -> list[_Image]:
    return [image for image, _ in SyntheticStreet(seed, _SIZE_HW, rate).frames(count)]


def _joined(name: str, pieces: Sequence[Sequence[_Image]]) -> Clip:
    starts = np.cumsum([len(piece) for piece in pieces])[:-1]
    return Clip(name, [image for piece in pieces for image in piece], frozenset(int(start) for start in starts))


def _fit(image: _Image) -> _Image:
    """The middle of an image, in the size of all."""
    height, width = image.shape[:2]
    wanted = min(width, height * _SIZE_HW[1] // _SIZE_HW[0])
    left = (width - wanted) // 2
    size_wh = _SIZE_HW[1], _SIZE_HW[0]
    return np.asarray(cv2.resize(image[:, left : left + wanted], size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _judge(path: Path, cuts: frozenset[int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for kind, pixels in (("with_pixels", True), ("without_pixels", False)):
        reader = SignalReader()
        with open_video(str(path), pixels=pixels) as video:
            found = [(signals.is_cut, signals.novelty) for signals in map(reader.update, video)]
        judged = {index: is_cut for index, (is_cut, _) in enumerate(found) if index and is_cut is not None}
        result[kind] = {
            "cuts_found": sum(judged.get(cut, False) for cut in cuts),
            "false_cuts": sum(is_cut for index, is_cut in judged.items() if index not in cuts),
            "cuts_missed": sum(not judged.get(cut, True) for cut in cuts),
            "cuts_not_judged": sum(cut not in judged for cut in cuts),
        }
        if pixels:
            novelty = {index: value for index, (_, value) in enumerate(found) if index and value is not None}
            result["novelty_of_cuts"] = _range([value for index, value in novelty.items() if index in cuts])
            result["novelty_of_others"] = _range([value for index, value in novelty.items() if index not in cuts])
    return result


def _range(values: list[float]) -> list[float] | None:
    """Least, median and greatest."""
    return [round(float(value), 3) for value in np.percentile(values, (0, 50, 100))] if values else None


def _total(rows: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    names = ("cuts_found", "false_cuts", "cuts_missed", "cuts_not_judged")
    total = {name: sum(row[kind][name] for row in rows) for name in names}
    found, false, missed, _ = total.values()
    total["precision"] = round(found / (found + false), 4) if found + false else None
    total["recall"] = round(found / (found + missed), 4) if found + missed else None
    return total

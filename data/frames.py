"""`open_frames`: a folder or glob of still images as if it were a video."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from glob import glob, has_magic
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..codec import ColourTags, Frame, InvalidDataError, MotionAbsence, SourceError, TimeJump
from .image import IMAGE_SUFFIXES, is_image, natural_key, read_image


def list_images(path_or_glob: str | os.PathLike[str]) -> list[Path]:
    """The image files of a folder, or that a glob matches, in natural order; other and hidden files are passed over.

    Raises SourceError where nothing is there, InvalidDataError where nothing of it is an image.
    """
    name = os.fspath(path_or_glob)
    path = Path(name)
    if path.is_dir():
        found: Iterable[Path] = path.iterdir()
    elif path.exists():
        raise SourceError(f"{name}: is a file, not a folder of images; open a video with gopseg.codec.open_video")
    elif has_magic(name):
        found = [Path(match) for match in glob(name, recursive=True)]  # noqa: PTH207 - as the shell does
    else:
        raise SourceError(f"{name}: no such folder; check the path")
    images = [file for file in found if is_image(file)]
    if not images:
        suffixes = " ".join(sorted(IMAGE_SUFFIXES))
        raise InvalidDataError(f"{name}: no image in it; give a folder or glob of frames ({suffixes})")
    return sorted(images, key=natural_key)


def open_frames(path_or_glob: str | os.PathLike[str], frame_rate: Fraction | float = Fraction(25)) -> FrameFolder:
    """Open a folder, or a glob, of still images that are the frames of one video, `frame_rate` of them a second.

    Raises SourceError where there is nothing, InvalidDataError where there is no image or the first is damaged.
    """
    rate = Fraction(frame_rate).limit_denominator(1001)
    if rate <= 0:
        raise ValueError(f"frame_rate={frame_rate} is impossible; give a positive number of frames a second")
    return FrameFolder(name=os.fspath(path_or_glob), files=list_images(path_or_glob), frame_rate=rate)


class FrameFolder(Iterator[Frame]):
    """Still images as a `FrameSource`, with the interface of `CompressedVideo`: one pass over them in natural order.

    Every frame is of type 'I' and has no motion; `pts` counts frames. An image is read when it is asked for, and has
    to have the first one's size: InvalidDataError otherwise.
    """

    codec_name = "images"
    pixel_format = "rgb24"
    rotation_degrees = 0
    decode_errors = 0
    has_intra_refresh = False
    reference_frames = None
    stream_choice = ""
    has_own_times = False
    stated_rate: Fraction | None = None
    time_jumps: Sequence[TimeJump] = ()
    sample_aspect = None
    colour = ColourTags()
    motion_absence = MotionAbsence.STILLS

    def __init__(self, *, name: str, files: list[Path], frame_rate: Fraction) -> None:
        self.name = name
        self.files = files
        self.frame_rate = frame_rate
        self.time_base = 1 / frame_rate
        self.frame_count = len(files)
        self.duration_seconds = float(len(files) / frame_rate)
        height, width, _ = read_image(files[0]).shape
        self.size_hw = height, width
        self._index = 0

    def __repr__(self) -> str:
        height, width = self.size_hw
        return (
            f"FrameFolder({self.name!r}, {self.frame_count} images, {width}x{height}, {float(self.frame_rate):g} fps)"
        )

    def __enter__(self) -> FrameFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration; there is nothing to let go of."""
        self._index = self.frame_count

    def __iter__(self) -> FrameFolder:
        return self

    def __next__(self) -> Frame:
        index = self._index
        if index >= self.frame_count:
            raise StopIteration
        self._index += 1
        return Frame(
            index=index,
            pts=index,
            time_base=self.time_base,
            pict_type="I",
            is_keyframe=True,
            distance=0,
            size_hw=self.size_hw,
            packet_bytes=self.files[index].stat().st_size,
            motion_absence=MotionAbsence.STILLS,
            load_image=self._loader(self.files[index]),
        )

    def _loader(self, file: Path) -> Callable[[], NDArray[np.uint8]]:
        def load() -> NDArray[np.uint8]:
            image = read_image(file)
            if image.shape[:2] != self.size_hw:
                height, width = self.size_hw
                raise InvalidDataError(
                    f"{file}: is {image.shape[1]}x{image.shape[0]} where {self.files[0]} is {width}x{height}; "
                    "give frames of one size"
                )
            return image

        return load

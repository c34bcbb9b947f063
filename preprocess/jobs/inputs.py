"""What the commands call SOURCE: video files, folders of frames, folders of such folders, and globs of any of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from ...codec import InvalidDataError, SourceError
from ...data import IMAGE_SUFFIXES, list_images, natural_key


@dataclass(frozen=True)
class SequenceSource:
    """One video to be: a video file, or the image `files` of a folder in natural order; `name` names its outputs."""

    name: str
    path: Path
    files: tuple[Path, ...] | None = None


def find_sources(arguments: Iterable[str]) -> list[SequenceSource]:
    """All sequences that the arguments name, in their order (folders and globs in natural order).

    Raises SourceError where nothing is there, InvalidDataError where a folder has no frames or where two sequences
    would have the same name.
    """
    sources = [source for argument in arguments for source in _sources_of(argument)]
    by_name: dict[str, SequenceSource] = {}
    for source in sources:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise InvalidDataError(
                f"{source.path}: would be written as {source.name!r}, and so would {other.path}; "
                "rename one, or encode them into different folders"
            )
    return sources


def _sources_of(argument: str) -> list[SequenceSource]:
    path = Path(argument)
    if path.is_dir():
        return _sources_of_folder(path)
    if path.exists():
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise InvalidDataError(f"{path}: is a single image; give the folder, or a glob in quotes, of the frames")
        return [SequenceSource(path.stem, path)]
    if "://" in argument:
        raise SourceError(
            f"{argument}: is an address; download it first, such as by ffmpeg -i ADDRESS -c copy FILE.mkv"
        )
    if not has_magic(argument):
        raise SourceError(f"{argument}: no such file or folder; check the path")
    found = glob(argument, recursive=True)  # noqa: PTH207 - as the shell does
    matches = sorted(map(Path, found), key=natural_key)
    if not matches:
        raise SourceError(f"{argument}: the pattern matches nothing; check it")
    return _sources_of_matches(matches)


def _sources_of_folder(folder: Path) -> list[SequenceSource]:
    if frames := _frames_of(folder):
        return [frames]
    below = sorted((path for path in folder.iterdir() if path.is_dir()), key=natural_key)
    sources = [source for path in below if (source := _frames_of(path)) is not None]
    if not sources:
        raise InvalidDataError(
            f"{folder}: no image in it nor in its folders; give a folder of frames, or videos by a glob such as "
            f"'{folder / '*.mp4'}'"
        )
    return sources


def _sources_of_matches(matches: list[Path]) -> list[SequenceSource]:
    """Images that a glob matches are one sequence a folder; every other match is a source by itself."""
    sources: list[SequenceSource] = []
    images: dict[Path, list[Path]] = {}
    for path in matches:
        if path.is_dir():
            sources += _sources_of_folder(path)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            images.setdefault(path.parent, []).append(path)
        else:
            sources.append(SequenceSource(path.stem, path))
    return sources + [SequenceSource(_name(folder), folder, tuple(files)) for folder, files in images.items()]


def _frames_of(folder: Path) -> SequenceSource | None:
    try:
        return SequenceSource(_name(folder), folder, tuple(list_images(folder)))
    except InvalidDataError:
        return None


def _name(folder: Path) -> str:
    return folder.resolve().name or "frames"

"""What the arguments of `segment-stream` name, and what the outputs of several sources are called; nothing heavy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from urllib.parse import urlparse

from ....data import IMAGE_SUFFIXES, natural_key
from ...errors import StreamUsageError
from ...inputs import is_live, source_stem
from ...outputs import CONTAINERS
from ..request import StreamRequest

_KINDS = (
    "3gp 264 265 asf avi flv h264 h265 hevc m2ts m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm wmv y4m"
)
VIDEO_SUFFIXES = frozenset(f".{kind}" for kind in _KINDS.split())
"""What a folder's videos are known by; a file that is named itself, or by a glob, may be called anything."""


@dataclass(frozen=True)
class Given:
    """The sources that were named, each once, in order; `are_many` tells whether outputs go to a folder, as where a
    glob or a folder was to be searched for videos. `notes` are worth telling."""

    sources: tuple[str, ...]
    are_many: bool
    notes: tuple[str, ...] = ()


def find_sources(arguments: Sequence[str]) -> Given:
    """Video files, folders of them and globs, one source each video; a folder or a glob of still images is one source.

    StreamUsageError where nothing is there, where videos and still images are mixed in a folder or glob, and where live
    sources and files are.
    """
    found = [(argument, _sources_of(argument)) for argument in arguments]
    are_many = len(arguments) > 1 or any(sources != [argument] for argument, sources in found)
    sources: dict[Path | str, str] = {}
    notes = []
    for source in (source for _, each in found for source in each):
        key = source if is_live(source) else Path(source).resolve()
        if key in sources:
            notes.append(f"{source}: is given twice and is labelled once")
        sources.setdefault(key, source)
    live = [source for source in sources.values() if is_live(source)]
    if live and len(live) < len(sources):
        raise StreamUsageError(
            f"{live[0]}: is live, and the other sources are files; give them to commands of their own"
        )
    for source in sources.values():
        if are_many or set("*?[") & set(source):
            _check_that_it_is_there(source)
    return Given(tuple(sources.values()), are_many, tuple(notes))


def requests_for(given: Given, template: StreamRequest) -> list[StreamRequest]:
    """A request a source, all with the template's options; its `output` is the folder, made if need be, for
    `NAME.mp4`, and None for `NAME_segmented.mp4` here.

    Sources of one name get that of their folder, or host, in front. StreamUsageError where that does not help, where
    the folder cannot be had, and where an output would replace a source.
    """
    folder = template.output
    names = _names(given.sources)
    if folder is not None:
        _make_folder(folder, len(names))
    requests = []
    for source, name in zip(given.sources, names, strict=True):
        output = Path(f"{name}_segmented.mp4") if folder is None else folder / f"{name}.mp4"
        requests.append(replace(template, source=source, output=output, stats_file=None))
    files = {Path(source).resolve(): source for source in given.sources if not is_live(source)}
    for request in requests:
        for target in request.targets().values():
            if target.resolve() in files:
                raise StreamUsageError(
                    f"'{target}' would replace the source {files[target.resolve()]}; choose another folder by -o"
                )
    return requests


def _sources_of(argument: str) -> list[str]:
    path = Path(argument)
    if is_live(argument):
        return [argument]
    if path.is_dir():
        return _of_folder(argument, [each for each in path.iterdir() if not each.name.startswith(".")])
    if path.exists() or not set("*?[") & set(argument):
        return [argument]
    matches = sorted(map(Path, glob(argument, recursive=True)), key=natural_key)  # noqa: PTH207 - as the shell does
    files = [match for match in matches if not match.is_dir()]
    videos = [match for match in files if match.suffix.lower() not in IMAGE_SUFFIXES]
    if videos and len(videos) < len(files):
        raise _mixed(argument, f"{argument[:-1]}*.mp4" if argument.endswith("*") else "*.mp4")
    if files and not videos:
        return [argument]
    folders = [source for match in matches if match.is_dir() for source in _sources_of(str(match))]
    return [*map(str, videos), *folders] or [argument]


def _of_folder(argument: str, files: Iterable[Path]) -> list[str]:
    files = [file for file in files if file.is_file()]
    videos = sorted((file for file in files if file.suffix.lower() in VIDEO_SUFFIXES), key=natural_key)
    if videos and any(file.suffix.lower() in IMAGE_SUFFIXES for file in files):
        raise _mixed(argument, str(Path(argument) / f"*{videos[0].suffix}"))
    if not videos and not any(file.suffix.lower() in IMAGE_SUFFIXES for file in files):
        raise StreamUsageError(
            f"{argument}: no video and no image lies directly in it; give another folder, or a glob in quotes, "
            f"such as '{Path(argument) / '**' / '*.mp4'}'"
        )
    return [str(file) for file in videos] or [argument]


def _mixed(argument: str, way_out: str) -> StreamUsageError:
    return StreamUsageError(
        f"{argument}: holds videos and still images; say which are meant by a glob in quotes, such as '{way_out}'"
    )


def _check_that_it_is_there(source: str) -> None:
    path = Path(source)
    if is_live(source) or path.exists():
        return
    if set("*?[") & set(source):
        if glob(source, recursive=True):  # noqa: PTH207 - as the shell does
            return
        raise StreamUsageError(f"{source}: the pattern matches nothing; check it")
    raise StreamUsageError(f"{source}: no such file or folder; check the path")


def _names(sources: Sequence[str]) -> list[str]:
    stems = [source_stem(source) for source in sources]
    taken = Counter(stem.casefold() for stem in stems)
    names = [
        f"{_place(source)}_{stem}" if taken[stem.casefold()] > 1 else stem
        for source, stem in zip(sources, stems, strict=True)
    ]
    by_name: dict[str, str] = {}
    for source, name in zip(sources, names, strict=True):
        other = by_name.setdefault(name.casefold(), source)
        if other != source:
            raise StreamUsageError(
                f"{source}: would be written as '{name}', and so would {other}; rename one, or give each to a "
                "command of its own"
            )
    return names


def _place(source: str) -> str:
    """Where a source lies: its folder's name, or an address's host and port."""
    if "://" in source:
        return urlparse(source).netloc.rpartition("@")[2].replace(":", "-") or "stream"
    return Path(source).resolve().parent.name or "root"


def _make_folder(folder: Path, count: int) -> None:
    if folder.suffix.lower() in CONTAINERS and not folder.is_dir():
        raise StreamUsageError(f"-o {folder}: names one video, and there may be several ({count} now); give a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = "is a file" if folder.exists() else f"cannot be made ({error.strerror})"
        raise StreamUsageError(f"-o {folder}: {cause}; give another folder") from error

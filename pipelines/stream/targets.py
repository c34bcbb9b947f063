"""The outputs of a request: whether they may be written, and the sinks that write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...console import Existing
from ...files import write_refusal
from ..errors import StreamUsageError
from ..inputs import is_live
from ..outputs import ClassList, ColourImages, LabelImages, Output, OverlayVideo, Painter, RunLengths, Sound
from .request import StreamRequest

if TYPE_CHECKING:
    from .session import Session


def check_targets(request: StreamRequest, *, goes_on: bool) -> None:
    """StreamUsageError where an output exists and may not be replaced, is the input, or cannot be written."""
    for target in request.targets().values():
        if target.exists() and Path(request.source).exists() and target.samefile(request.source):
            raise StreamUsageError(f"'{target}' is the input itself; choose another name with -o")
        if target.exists() and not (goes_on or request.existing is Existing.REPLACE):
            way_out = "--resume to go on, " if request.notes.exists() else ""
            raise StreamUsageError(f"'{target}' exists already; give {way_out}-y to replace it, or another name by -o")
        parent = target.absolute().parent
        if not parent.is_dir():
            raise StreamUsageError(
                f"'{target}' cannot be written: '{parent}' is no folder; make it or choose another -o"
            )
        if refusal := write_refusal(parent):
            raise StreamUsageError(f"'{target}' cannot be written: '{parent}': {refusal}, or choose another -o")


def make_outputs(request: StreamRequest, session: Session, say: Callable[[str], None]) -> list[Output]:
    """A sink for each output that is asked for; statistics are none. `say` is told what cannot be kept."""
    painter = Painter(session.palette.colours, request.opacity)
    made: list[Output] = []
    for kind, path in request.targets().items():
        if kind == "overlay":
            made.append(
                OverlayVideo(
                    path,
                    painter,
                    session.source.frame_rate,
                    session.stats.add,
                    show_occlusion=request.show_occlusion,
                    sample_aspect=session.source.sample_aspect,
                    colour=session.source.colour,
                    sound=sound_for(request, say),
                    time_jumps=session.watch.time_jumps,
                )
            )
        elif kind == "labels":
            made.append(LabelImages(path, session.palette.colours if request.labels_format == "palette" else None))
        elif kind == "color":
            made.append(ColourImages(path, painter))
        elif kind == "rle":
            made.append(RunLengths(path, session.runner.classes))
        elif kind == "classes":
            made.append(ClassList(path, session.runner.classes, session.palette))
    return made


def sound_for(request: StreamRequest, say: Callable[[str], None]) -> Sound | None:
    """The source's sound where it is a file that has some, and the overlay video can hold it; `say` is told if not."""
    target = request.video
    if not request.audio or is_live(request.source) or not Path(request.source).is_file():
        return None
    sound = Sound(Path(request.source), target)
    if sound.is_held:
        return sound
    sound.close()
    if sound.name is not None:
        say(
            f"'{target}': without sound: {target.suffix} cannot hold its {sound.name}; take -o {target.stem}.mkv, or "
            "--no-audio to have it left out"
        )
    return None

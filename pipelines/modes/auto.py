"""Mode `auto`: the network wherever the codec and the decoder say that carrying would go wrong (`Router`)."""

from __future__ import annotations

from dataclasses import dataclass

from ..router import DEFAULT_QUALITY
from .mode import Mode
from .motion import MotionOptions, reads
from .options import choice, interval_runs_on, positive, refresh_above

LOOK, BRIDGE = "look", "bridge"


@dataclass(frozen=True, kw_only=True)
class AutoOptions(MotionOptions):
    """The options of mode auto: those of mode motion, and what its router may spend."""

    refresh_above: float = refresh_above(1.0)
    quality: float = positive(
        DEFAULT_QUALITY,
        "Share of pixels that are to agree, on average, with the network run on every frame, as far as expected.",
    )
    budget: float | None = positive(
        None, "Share of the operations of the network run on every frame.", default_help="as many as the quality wants"
    )
    target_fps: float | None = positive(
        None, "Frames a second to be labelled on this machine.", high=None, default_help="none"
    )
    at_keyframes: str = choice(
        LOOK,
        (LOOK, BRIDGE),
        "What happens at the stream's keyframes: the network sees them all, or only those of which carrying would get "
        "too much wrong.",
    )


def remembers(options: AutoOptions) -> str | None:
    """What was spent, where there is a budget, and what was seen before a keyframe that is bridged."""
    if options.at_keyframes == BRIDGE:
        return "carries over keyframes"
    if options.budget is not None or options.target_fps is not None:
        return "keeps to its budget over the whole stream"
    return interval_runs_on(options)


AUTO_MODE = Mode(
    name="auto",
    help="as motion, and the network also on whichever frame the codec and the decoder say carrying would get wrong",
    options=AutoOptions,
    reads=reads,
    remembers=remembers,
    build="gopseg.pipelines.modes.building:build_auto",
)

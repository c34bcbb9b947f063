"""Mode `clip`: an MRCFA network on every frame, with earlier ones (Sun et al., ECCV 2022)."""

from __future__ import annotations

from dataclasses import dataclass

from .mode import CodecReads, Mode
from .options import Options, choice

GUIDED_REFERENCES = "guided"


@dataclass(frozen=True, kw_only=True)
class ClipOptions(Options):
    """The options of mode clip."""

    references: str = choice(
        "seconds",
        ("seconds", "fixed", GUIDED_REFERENCES, "published"),
        "Which earlier frames it looks at. seconds: 0.6, 0.4 and 0.2 s before. fixed: 9, 6 and 3 frames before. "
        "guided: chosen by the codec's motion, frame types and quantisers, never across a cut. published: as in "
        "MRCFA's code.",
    )


def reads(options: ClipOptions) -> CodecReads:
    """Vectors and quantisers where references are guided by them."""
    is_guided = options.references == GUIDED_REFERENCES
    return CodecReads(vectors=is_guided, qp=is_guided)


def remembers(_: ClipOptions) -> str:
    """The frames that it looks at."""
    return "looks at earlier frames, whatever keyframe lies between"


CLIP = Mode(
    name="clip",
    help="an MRCFA network on every frame, which also looks at earlier frames",
    options=ClipOptions,
    reads=reads,
    remembers=remembers,
    build="gopseg.pipelines.modes.building:build_clip",
)

"""The modes there are: each a `Pipeline` by its name."""

from __future__ import annotations

from .altering_pipeline import AlteringPipeline
from .clip_pipeline import ClipPipeline
from .flow_pipeline import FlowPipeline
from .guided_pipeline import GuidedPipeline
from .lr_pipeline import LowResolutionPipeline
from .motion_pipeline import MotionPipeline
from .per_frame import PerFramePipeline
from .pipeline import Pipeline

_PIPELINES: tuple[type[Pipeline], ...] = (
    PerFramePipeline,
    LowResolutionPipeline,
    MotionPipeline,
    AlteringPipeline,
    ClipPipeline,
    FlowPipeline,
    GuidedPipeline,
)

MODES: dict[str, type[Pipeline]] = {pipeline.mode: pipeline for pipeline in _PIPELINES}

"""The modes there are: each a `Pipeline` by its name."""

from __future__ import annotations

from .motion_pipeline import MotionPipeline
from .per_frame import PerFramePipeline
from .pipeline import Pipeline

MODES: dict[str, type[Pipeline]] = {pipeline.mode: pipeline for pipeline in (PerFramePipeline, MotionPipeline)}

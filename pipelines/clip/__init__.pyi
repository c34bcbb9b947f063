from .clip_pipeline import ClipPipeline as ClipPipeline
from .references import CHOICES as CHOICES
from .references import FixedReferences as FixedReferences
from .references import Moment as Moment

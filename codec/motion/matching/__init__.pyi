from .prediction import SubpixelPlanes as SubpixelPlanes
from .reference_matching import BlockGrid as BlockGrid
from .reference_matching import Matches as Matches
from .reference_matching import block_grid as block_grid
from .reference_matching import match as match
from .reference_matching import quarter_pixels as quarter_pixels
from .tracing import TracedPicture as TracedPicture
from .tracing import trace as trace

from .colour import matrix_of as matrix_of
from .mvextractor import open_with_mvextractor as open_with_mvextractor
from .opening import OpenSource as OpenSource
from .orientation import Orientation as Orientation
from .sidedata import raw_side_data as raw_side_data
from .sidedata import vectors_of as vectors_of
from .video import CompressedVideo as CompressedVideo
from .video import open_video as open_video

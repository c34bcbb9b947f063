from .archive import UNKNOWN_QP as UNKNOWN_QP
from .archive import Metadata as Metadata
from .archive import load_metadata as load_metadata
from .extract_command import extract as extract
from .motion_records import with_known_vectors as with_known_vectors

from .clips import INDEX as INDEX
from .clips import read_index as read_index
from .encode import EncodeJob as EncodeJob
from .extract import Metadata as Metadata
from .extract import load_metadata as load_metadata
from .jobs import SequenceSource as SequenceSource

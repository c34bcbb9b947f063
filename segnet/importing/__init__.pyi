from .adapter import as_segmentation_network as as_segmentation_network
from .hf import load_network as load_network
from .mrcfa_checkpoints import import_clip_network as import_clip_network
from .published import DETECTED as DETECTED
from .published import import_network as import_network
from .published import load_strictly as load_strictly
from .published import read_checkpoint as read_checkpoint
from .published import unwrapped as unwrapped

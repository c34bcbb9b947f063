from .camvid import CamVid
from .folder import FolderDataset
from .frames import FrameFolder, open_frames
from .palettes import Palette, PaletteError, load_palette
from .sample import VOID, DatasetError, Sample
from .synthetic import SyntheticStreet

__all__ = [
    "VOID",
    "CamVid",
    "DatasetError",
    "FolderDataset",
    "FrameFolder",
    "Palette",
    "PaletteError",
    "Sample",
    "SyntheticStreet",
    "load_palette",
    "open_frames",
]

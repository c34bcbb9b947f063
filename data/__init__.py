from .frames import FrameFolder, open_frames
from .palettes import Palette, PaletteError, load_palette
from .synthetic import SyntheticStreet

__all__ = ["FrameFolder", "Palette", "PaletteError", "SyntheticStreet", "load_palette", "open_frames"]

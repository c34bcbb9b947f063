"""gopseg: video semantic segmentation made cheap by what the codec already knows."""

__version__ = "0.1.0"

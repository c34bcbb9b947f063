from .frames import FrameFolder, open_frames

__all__ = ["FrameFolder", "open_frames"]

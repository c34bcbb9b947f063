"""What `evaluate-segnet` measures on one stream of frames, and what it measures with."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""What a frame goes through on an accelerator: pictures up, everything there, one map of labels down."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""`benchmark-segnet speed`: every way of reading and every mode, beside decoding and transcoding, and peers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

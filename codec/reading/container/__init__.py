"""What containers say: how they are opened, which stream to read, its times and its orientation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""What frames come from: files, folders, addresses, cameras and standard input."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

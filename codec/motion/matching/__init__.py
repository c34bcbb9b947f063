"""Which pictures blocks were predicted from, and where the cells of a frame come from."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

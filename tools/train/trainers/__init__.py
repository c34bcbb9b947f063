"""The trainers: what a batch is, what its loss is, how the average scores."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""What `train-segnet router` does: gathering what carrying got wrong, and fitting the router's predictor to it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Mode `auto`: what decides whether the network sees a frame, by what the codec and the decoder know."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""gopseg: video semantic segmentation made cheap by what the codec already knows.

`segment` labels the frames of a video; `open_video` reads frames with what the codec says of them; `load_network` and
`as_segmentation_network` give networks. Each is imported when it is first asked for.
"""

import lazy_loader

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    from .packages import explaining

    return explaining(_load)(name)

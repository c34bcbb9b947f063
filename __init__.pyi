from .codec import open_video as open_video
from .errors import GopsegError as GopsegError
from .pipelines import segment as segment
from .segnet import as_segmentation_network as as_segmentation_network
from .segnet import load_network as load_network

__version__: str

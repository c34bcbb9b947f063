from .affinity import Tokens as Tokens
from .mrcfa import MRCFA as MRCFA
from .mrcfa import Encoded as Encoded
from .segformer import SegFormer as SegFormer
from .sizes import SIZES as SIZES

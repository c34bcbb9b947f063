from .affinity import Tokens as Tokens
from .mit import SIZES as SIZES
from .mrcfa import MRCFA as MRCFA
from .mrcfa import Encoded as Encoded
from .segformer import SegFormer as SegFormer

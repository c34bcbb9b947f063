from .codec_motion import FINEST_CELL as FINEST_CELL
from .codec_motion import HeadMotion as HeadMotion
from .codec_motion import head_motion as head_motion
from .codec_motion import motion_cell as motion_cell
from .flow_chain import FlowChain as FlowChain
from .flow_chain import flow_model as flow_model

from .jobs import Places as Places
from .jobs import Summary as Summary
from .jobs import segment_many as segment_many
from .request import InferenceRequest as InferenceRequest
from .request import StreamRequest as StreamRequest
from .running import segment_stream as segment_stream
from .session import Session as Session
from .session import segment as segment

from .request import StreamRequest as StreamRequest
from .request import segment_stream as segment_stream

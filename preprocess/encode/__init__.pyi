from .encode_command import encode as encode
from .encode_job import EncodeJob as EncodeJob

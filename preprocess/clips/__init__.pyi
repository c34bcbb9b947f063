from .clips_command import clips as clips
from .video_layout import INDEX as INDEX
from .video_layout import read_index as read_index

from .device_scores import DeviceScores as DeviceScores
from .pictures import can_send_planes as can_send_planes
from .pictures import sent_picture as sent_picture
from .shrinking import shrunk as shrunk
from .transfers import Download as Download
from .transfers import sent as sent

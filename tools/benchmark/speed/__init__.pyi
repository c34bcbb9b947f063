from .measuring import Choices as Choices
from .measuring import measure_speed as measure_speed

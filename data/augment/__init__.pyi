from .frame_groups import FrameGroup as FrameGroup
from .frame_groups import draw_group as draw_group
from .frame_groups import vary_group as vary_group
from .views import Augmentation as Augmentation
from .views import crop_view as crop_view
from .views import jitter_colour as jitter_colour
from .views import random_view as random_view

from .frames import FrameRun as FrameRun
from .initialisation import initialise as initialise
from .initialisation import origin_of as origin_of
from .networks import architecture_of as architecture_of
from .networks import seen_folder as seen_folder
from .networks import weights_of as weights_of
from .run import prepare_folder as prepare_folder
from .run import run_trainer as run_trainer

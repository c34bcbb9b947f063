from .drive import StillMotion as StillMotion

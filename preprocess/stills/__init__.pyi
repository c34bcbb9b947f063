from .stills_command import stills as stills

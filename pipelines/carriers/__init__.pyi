from .branch_runner import AlteringRunner as AlteringRunner
from .branch_runner import find_branch as find_branch
from .map_warp import warp_map as warp_map

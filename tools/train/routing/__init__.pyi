from .fitting import fit_predictor as fit_predictor
from .fitting import score_predictor as score_predictor
from .gathering import CarriedFrames as CarriedFrames
from .gathering import check_carried as check_carried
from .gathering import gather as gather

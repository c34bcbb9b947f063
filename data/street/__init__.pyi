from .street import SyntheticStreet as SyntheticStreet

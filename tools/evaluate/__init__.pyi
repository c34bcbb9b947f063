from .scoring import Labels as Labels

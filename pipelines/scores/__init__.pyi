from .softmax import certainty as certainty
from .softmax import probabilities as probabilities

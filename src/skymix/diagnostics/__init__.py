"""What a posterior says of the data and of the sampler that made it."""

from skymix.diagnostics.insertion import insertion_p_value
from skymix.diagnostics.predict import Observed, Space, predict_posterior

__all__ = ["Observed", "Space", "insertion_p_value", "predict_posterior"]

"""Mixture tree, priors and likelihood: pure numbers, no units, no files."""

import sys

if "t" in sys.abiflags:  # the kernel declares objects as other Pythons have them
    raise ImportError(
        "skymix needs a Python with its global interpreter lock, not a free-threaded one"
    )

try:
    import skymix.mixture._kernel  # noqa: F401 (what all else here needs)
except ImportError as error:
    raise ImportError(
        f"The mixture kernel has not been compiled for this Python ({error}); `make setup` does it,"
        " as does `pip install --no-build-isolation -e .`, given a C compiler."
    ) from error

from skymix.mixture.densities import Data, LeafTable
from skymix.mixture.likelihood import TabulatedMixture
from skymix.mixture.parameters import ParameterAxis
from skymix.mixture.priors import Prior, prior_from_mapping
from skymix.mixture.rates import Nuisance, RateMixture
from skymix.mixture.tree import Tree

__all__ = [
    "Data",
    "LeafTable",
    "Nuisance",
    "ParameterAxis",
    "Prior",
    "RateMixture",
    "TabulatedMixture",
    "Tree",
    "prior_from_mapping",
]

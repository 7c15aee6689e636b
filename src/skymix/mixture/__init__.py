"""Mixture tree, priors and likelihood: pure numbers, no units, no files."""

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

"""Mixture tree, priors and likelihood: pure numbers, no units, no files."""

from skymix.mixture.likelihood import LeafTable, TabulatedMixture
from skymix.mixture.parameters import ParameterAxis
from skymix.mixture.priors import Prior, prior_from_mapping
from skymix.mixture.tree import Tree

__all__ = [
    "LeafTable",
    "ParameterAxis",
    "Prior",
    "TabulatedMixture",
    "Tree",
    "prior_from_mapping",
]

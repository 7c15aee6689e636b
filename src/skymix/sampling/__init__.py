"""Samplers and what they make."""

from skymix.sampling.check import check_evidence
from skymix.sampling.laplace import LaplaceRun, sample_laplace
from skymix.sampling.nested import NestedRun, sample_nested
from skymix.sampling.posterior import posterior_tree
from skymix.sampling.problem import Problem
from skymix.sampling.progress import Progress
from skymix.sampling.run import WeightedRun

__all__ = [
    "LaplaceRun",
    "NestedRun",
    "Problem",
    "Progress",
    "WeightedRun",
    "check_evidence",
    "posterior_tree",
    "sample_laplace",
    "sample_nested",
]

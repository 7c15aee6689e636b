"""Samplers and what they make."""

from skymix.sampling.check import check_evidence
from skymix.sampling.laplace import LaplaceRun, sample_laplace
from skymix.sampling.nested import NestedRun, sample_nested
from skymix.sampling.posterior import posterior_tree
from skymix.sampling.problem import Problem
from skymix.sampling.progress import Progress
from skymix.sampling.pymc_problem import PymcProblem, problem_from_pymc
from skymix.sampling.run import WeightedRun

__all__ = [
    "LaplaceRun",
    "NestedRun",
    "Problem",
    "Progress",
    "PymcProblem",
    "WeightedRun",
    "check_evidence",
    "posterior_tree",
    "problem_from_pymc",
    "sample_laplace",
    "sample_nested",
]

"""Samplers and what they make."""

from skymix.sampling.nested import NestedRun, sample_nested
from skymix.sampling.posterior import posterior_tree
from skymix.sampling.problem import Problem
from skymix.sampling.progress import Progress

__all__ = ["NestedRun", "Problem", "Progress", "posterior_tree", "sample_nested"]

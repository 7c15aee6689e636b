"""Samplers and what they make.

Files of draws are made in the modules `posterior` and `chains`, which need xarray.
"""

from skymix.sampling.check import check_evidence
from skymix.sampling.checkpoint import Checkpoint
from skymix.sampling.conditional import sample_conditional
from skymix.sampling.executor import Executor, SerialExecutor, Timing
from skymix.sampling.laplace import LaplaceRun, sample_laplace
from skymix.sampling.merge import merge_runs
from skymix.sampling.mixture_op import model_from_mixture
from skymix.sampling.mpi import run_on_ranks
from skymix.sampling.nested import NestedRun, sample_nested
from skymix.sampling.nuts import ChainRun, sample_nuts
from skymix.sampling.problem import Problem
from skymix.sampling.progress import Progress
from skymix.sampling.pymc_file import ModelFile
from skymix.sampling.pymc_problem import PymcProblem, problem_from_pymc
from skymix.sampling.rough import highest_likelihood, nuts_starts
from skymix.sampling.run import WeightedRun
from skymix.sampling.session import Session
from skymix.sampling.stop import StopRequest, deadline

__all__ = [
    "ChainRun",
    "Checkpoint",
    "Executor",
    "LaplaceRun",
    "ModelFile",
    "NestedRun",
    "Problem",
    "Progress",
    "PymcProblem",
    "SerialExecutor",
    "Session",
    "StopRequest",
    "Timing",
    "WeightedRun",
    "check_evidence",
    "deadline",
    "highest_likelihood",
    "merge_runs",
    "model_from_mixture",
    "nuts_starts",
    "problem_from_pymc",
    "run_on_ranks",
    "sample_conditional",
    "sample_laplace",
    "sample_nested",
    "sample_nuts",
]

"""A second evidence for a nested run of a small problem, by importance sampling."""

from typing import Any

from skymix.errors import SkymixError
from skymix.mixture import RateMixture, TabulatedMixture
from skymix.sampling.conditional import sample_conditional
from skymix.sampling.laplace import LaplaceRun, importance_run, reason_for_distrust

MOST_LEAVES = 8
MOST_SCANNED = 2
MOST_PARAMETERS = 20
MOST_ENTRIES = 500_000  # data x terms of the mixture: some seconds
_DRAWS = 20_000


def check_evidence(problem: TabulatedMixture | RateMixture, seed: int) -> dict[str, Any]:
    """Evidence of a small problem by Laplace approximations, as attributes of its posterior.

    Returns
    -------
    ``laplace_logz``, ``laplace_logzerr`` and ``laplace_effective_size``; or ``laplace_refused``,
    a sentence, where the approximation does not describe the posterior; nothing for a large problem
    """
    terms = sum(2 ** len(leaf.axes) for leaf in problem.leaves)
    if (
        len(problem.leaves) > MOST_LEAVES
        or len(problem.priors) > MOST_SCANNED
        or problem.ndim > MOST_PARAMETERS
        or problem.multiplicity.size * terms > MOST_ENTRIES
    ):
        return {}
    try:
        run = _importance_run(problem, seed)
    except SkymixError as error:
        return {"laplace_refused": str(error)}
    if reason := reason_for_distrust(run):
        return {"laplace_refused": reason}
    return {
        "laplace_logz": run.log_evidence,
        "laplace_logzerr": run.log_evidence_error,
        "laplace_effective_size": run.effective_size,
    }


def _importance_run(problem: TabulatedMixture | RateMixture, seed: int) -> LaplaceRun:
    if isinstance(problem, TabulatedMixture):
        return importance_run(problem, _DRAWS, seed)
    return sample_conditional(problem, {}, _DRAWS, seed)[0]

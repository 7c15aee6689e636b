"""From the chains of a run to the groups of a posterior file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from skymix.axes import FloatArray
from skymix.sampling.nuts import ChainRun
from skymix.sampling.posterior import Derive, joined, prior_and_data, variables
from skymix.sampling.problem import Problem


def chains_tree(
    run: ChainRun,
    problem: Problem,
    derive: Derive,
    units: Mapping[str, str],
    observed: Mapping[str, FloatArray],
    truth: Mapping[str, float],
    seed: int,
) -> xr.DataTree:
    """Posterior, prior, sampler statistics and data of chains, as ArviZ names them.

    Parameters as for `posterior_tree`. There is no evidence; the group `convergence` holds r-hat
    and effective sizes, and the attribute `warnings` one sentence a line if something is bad.
    """
    theta = np.stack([run.variables[name] for name in problem.names], axis=-1)
    likelihood = problem.log_likelihood(theta.reshape(-1, theta.shape[-1])).reshape(theta.shape[:2])
    statistics = {"log_likelihood": likelihood, **run.statistics}
    groups = {
        "posterior": variables(problem.names, theta, derive, units),
        "sample_stats": xr.Dataset({k: (("chain", "draw"), v) for k, v in statistics.items()}),
        "convergence": _convergence(run),
    }
    rng = np.random.default_rng(seed)
    groups |= prior_and_data(problem, derive, units, observed, truth, rng)
    return joined(groups, _attributes(run))


def _attributes(run: ChainRun) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "sampler": "nuts",
        "n_chains": run.n_chains,
        "n_calls": run.n_calls,
        "divergences": run.divergences,
        "rhat_max": max(run.rhat.values()),
        "effective_size": min(run.ess_bulk.values()),
        "effective_size_tail": min(run.ess_tail.values()),
        "seconds": run.seconds,
    }
    return attributes | ({"warnings": "\n".join(run.warnings)} if run.warnings else {})


def _convergence(run: ChainRun) -> xr.Dataset:
    columns = {"rhat": run.rhat, "ess_bulk": run.ess_bulk, "ess_tail": run.ess_tail}
    return xr.Dataset(
        {name: ("parameter", list(values.values())) for name, values in columns.items()},
        coords={"parameter": list(run.rhat)},
    )

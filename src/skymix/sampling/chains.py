"""From the chains of a run to the groups of a posterior file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from skymix.axes import FloatArray
from skymix.sampling.nuts import ChainRun
from skymix.sampling.posterior import Derive
from skymix.sampling.problem import Problem

_PRIOR_DRAWS = 2000


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
    shape = theta.shape[:2]
    flat = theta.reshape(-1, theta.shape[-1])
    prior = problem.prior_transform(
        np.random.default_rng(seed).random((_PRIOR_DRAWS, flat.shape[1]))
    )
    likelihood = problem.log_likelihood(flat).reshape(shape)
    statistics = {"log_likelihood": likelihood, **run.statistics}
    groups = {
        "posterior": _variables(problem, flat, shape, derive, units),
        "sample_stats": xr.Dataset({k: (("chain", "draw"), v) for k, v in statistics.items()}),
        "prior": _variables(problem, prior, (1, _PRIOR_DRAWS), derive, units),
        "observed_data": xr.Dataset({k: ("datum", v) for k, v in observed.items()}),
        "constant_data": xr.Dataset({f"truth.{k}": v for k, v in truth.items()}),
        "convergence": _convergence(run),
    }
    tree = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    tree.attrs = _attributes(run)
    return tree


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


def _variables(
    problem: Problem,
    theta: FloatArray,
    shape: tuple[int, int],
    derive: Derive,
    units: Mapping[str, str],
) -> xr.Dataset:
    columns = dict(zip(problem.names, theta.T, strict=True)) | dict(derive(theta))
    return xr.Dataset(
        {
            name: (("chain", "draw"), values.reshape(shape), {"unit": units.get(name, "")})
            for name, values in columns.items()
        },
        coords={"chain": np.arange(shape[0]), "draw": np.arange(shape[1])},
    )

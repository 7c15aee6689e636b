"""From a nested run to the groups of a posterior file."""

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from skymix.axes import FloatArray
from skymix.sampling.nested import NestedRun
from skymix.sampling.problem import Problem

_PRIOR_DRAWS = 2000

Derive = Callable[[FloatArray], Mapping[str, FloatArray]]


def posterior_tree(
    run: NestedRun,
    problem: Problem,
    derive: Derive,
    units: Mapping[str, str],
    observed: Mapping[str, FloatArray],
    truth: Mapping[str, float],
    seed: int,
) -> xr.DataTree:
    """Posterior, prior, sampler statistics and data of a run, as ArviZ names them.

    Parameters
    ----------
    run : dead points and evidence
    problem : what was sampled
    derive : from parameters (n, ndim) to further variables (n,) by name
    units : unit of each variable that has one
    observed : (ndatum,) arrays of the data, by name
    truth : true value of each variable if simulated
    seed : for the equal-weight draws and the prior draws

    Returns
    -------
    DataTree with groups posterior, sample_stats, prior, observed_data, constant_data and nested
    """
    rng = np.random.default_rng(seed)
    draws = run.equal_weight_draws(rng)
    cube = rng.random((_PRIOR_DRAWS, len(run.names)))
    prior = problem.prior_transform(cube)
    groups = {
        "posterior": _draws(run.names, run.samples[draws], derive, units),
        "sample_stats": xr.Dataset(
            {
                "log_likelihood": (("chain", "draw"), run.log_likelihood[draws][None]),
                "log_prior_volume": (("chain", "draw"), run.log_prior_volume[draws][None]),
            }
        ),
        "prior": _draws(run.names, prior, derive, units),
        "observed_data": xr.Dataset({k: ("datum", v) for k, v in observed.items()}),
        "constant_data": xr.Dataset({f"truth.{k}": v for k, v in truth.items()}),
        "nested": _dead_points(run, units),
    }
    tree = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    tree.attrs = {
        "logz": run.log_evidence,
        "logzerr": run.log_evidence_error,
        "information": run.information,
        "n_live": run.n_live,
        "n_iterations": int(run.insertion_rank.size),
        "n_calls": run.n_calls,
        "effective_size": run.effective_size,
        "seconds": run.seconds,
        "sampler": "dynesty",
    }
    return tree


def _draws(
    names: tuple[str, ...], theta: FloatArray, derive: Derive, units: Mapping[str, str]
) -> xr.Dataset:
    variables = {name: theta[:, j] for j, name in enumerate(names)} | dict(derive(theta))
    return xr.Dataset(
        {
            name: (("chain", "draw"), values[None], {"unit": units.get(name, "")})
            for name, values in variables.items()
        },
        coords={"chain": [0], "draw": np.arange(theta.shape[0])},
    )


def _dead_points(run: NestedRun, units: Mapping[str, str]) -> xr.Dataset:
    ranks = np.full(run.log_likelihood.size, -1, dtype=np.int64)
    ranks[: run.insertion_rank.size] = run.insertion_rank
    points = {
        "log_likelihood": run.log_likelihood,
        "log_likelihood_birth": run.log_likelihood_birth,
        "log_weight": run.log_weight,
        "log_prior_volume": run.log_prior_volume,
        "insertion_rank": ranks,
    }
    dataset = xr.Dataset({name: ("dead_point", values) for name, values in points.items()})
    for j, name in enumerate(run.names):
        dataset[name] = ("dead_point", run.samples[:, j], {"unit": units.get(name, "")})
    return dataset

"""From a sampler's run to the groups of a posterior file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from skymix.axes import FloatArray, IntArray
from skymix.sampling.laplace import LaplaceRun
from skymix.sampling.nested import NestedRun
from skymix.sampling.problem import Problem
from skymix.sampling.run import WeightedRun

_PRIOR_DRAWS = 2000

Derive = Callable[[FloatArray], Mapping[str, FloatArray]]


def posterior_tree(
    run: WeightedRun,
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
    run : weighted draws and evidence
    problem : what was sampled
    derive : from parameters (n, ndim) to further variables (n,) by name
    units : unit of each variable that has one
    observed : (ndatum,) arrays of the data, by name
    truth : true value of each variable if simulated
    seed : for the equal-weight draws and the prior draws

    Returns
    -------
    DataTree with groups posterior, sample_stats, prior, observed_data, constant_data, and the
    weighted draws: `nested` for the dead points of a nested run, else `weighted`
    """
    rng = np.random.default_rng(seed)
    draws = run.equal_weight_draws(rng)
    groups = {
        "posterior": variables(run.names, run.samples[None, draws], derive, units),
        "sample_stats": _statistics(run, draws),
        "nested" if isinstance(run, NestedRun) else "weighted": _weighted(run, units),
    }
    groups |= prior_and_data(problem, derive, units, observed, truth, rng)
    return joined(groups, _attributes(run))


def joined(groups: Mapping[str, xr.Dataset], attributes: Mapping[str, Any]) -> xr.DataTree:
    """A tree of groups with attributes of its own."""
    tree = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    tree.attrs = dict(attributes)
    return tree


def prior_and_data(
    problem: Problem,
    derive: Derive,
    units: Mapping[str, str],
    observed: Mapping[str, FloatArray],
    truth: Mapping[str, float],
    rng: np.random.Generator,
) -> dict[str, xr.Dataset]:
    """Groups that do not depend on the sampler: draws from the prior, data, true values."""
    prior = problem.prior_transform(rng.random((_PRIOR_DRAWS, len(problem.names))))
    return {
        "prior": variables(problem.names, prior[None], derive, units),
        "observed_data": xr.Dataset({k: ("datum", v) for k, v in observed.items()}),
        "constant_data": xr.Dataset({f"truth.{k}": v for k, v in truth.items()}),
    }


def variables(
    names: Sequence[str], theta: FloatArray, derive: Derive, units: Mapping[str, str]
) -> xr.Dataset:
    """Sampled and derived variables of draws, (nchain, ndraw, ndim)."""
    chains, draws, ndim = theta.shape
    flat = theta.reshape(-1, ndim)
    columns = dict(zip(names, flat.T, strict=True)) | dict(derive(flat))
    return xr.Dataset(
        {
            name: (("chain", "draw"), values.reshape(chains, draws), {"unit": units.get(name, "")})
            for name, values in columns.items()
        },
        coords={"chain": np.arange(chains), "draw": np.arange(draws)},
    )


def _attributes(run: WeightedRun) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "logz": run.log_evidence,
        "logzerr": run.log_evidence_error,
        "information": run.information,
        "n_calls": run.n_calls,
        "effective_size": run.effective_size,
        "seconds": run.seconds,
    }
    if isinstance(run, NestedRun):
        iterations = int(run.insertion_rank.size)
        runs = 1 if run.insertion_run is None else int(run.insertion_run.max(initial=0)) + 1
        return attributes | {
            "sampler": "dynesty",
            "n_live": run.n_live,
            "n_runs": runs,
            "n_iterations": iterations,
            "n_ranks": run.timing.ranks,
            "n_nodes": run.timing.nodes,
            "lost_time": run.timing.lost_time,
            "load_balance": run.timing.load_balance,
        }
    if isinstance(run, LaplaceRun):
        attributes |= {"sampler": "laplace", "n_draws": run.n_draws}
    return attributes


def _statistics(run: WeightedRun, draws: IntArray) -> xr.Dataset:
    columns = {"log_likelihood": run.log_likelihood}
    if isinstance(run, NestedRun):
        columns["log_prior_volume"] = run.log_prior_volume
    return xr.Dataset({k: (("chain", "draw"), v[draws][None]) for k, v in columns.items()})


def _weighted(run: WeightedRun, units: Mapping[str, str]) -> xr.Dataset:
    columns: dict[str, Any] = {"log_likelihood": run.log_likelihood, "log_weight": run.log_weight}
    along = "point"
    if isinstance(run, NestedRun):
        along = "dead_point"
        ranks = np.full(run.log_likelihood.size, -1, dtype=np.int64)
        ranks[: run.insertion_rank.size] = run.insertion_rank
        which = np.zeros_like(ranks)
        if run.insertion_run is not None:
            which[: run.insertion_run.size] = run.insertion_run
        columns |= {
            "log_likelihood_birth": run.log_likelihood_birth,
            "log_prior_volume": run.log_prior_volume,
            "insertion_rank": ranks,
            "insertion_run": which,
        }
    dataset = xr.Dataset({name: (along, values) for name, values in columns.items()})
    for j, name in enumerate(run.names):
        dataset[name] = (along, run.samples[:, j], {"unit": units.get(name, "")})
    return dataset

"""The No-U-Turn sampler, through PyMC, and how far its chains can be trusted."""

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skymix.axes import FloatArray
from skymix.errors import SkymixError
from skymix.sampling.progress import Progress
from skymix.sampling.pymc_import import MODE, import_pymc
from skymix.sampling.pymc_prior import element_names

if TYPE_CHECKING:
    import xarray as xr

# Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021), Bayesian Analysis 16, 667.
LARGEST_RHAT = 1.01
SMALLEST_ESS_A_CHAIN = 100

_STATISTICS = ("diverging", "energy", "tree_depth", "n_steps", "step_size", "acceptance_rate")
_WHOLE = ("n_steps", "tree_depth")
_NUTPIE_NAMES = {"tree_depth": "depth", "acceptance_rate": "mean_tree_accept"}


@dataclass(frozen=True, eq=False)
class ChainRun:
    """Chains of a run and what they tell of their own convergence.

    Parameters
    ----------
    variables : (nchain, ndraw) of each entry of each variable, by name
    statistics : (nchain, ndraw) of the sampler, by name
    rhat, ess_bulk, ess_tail : rank-normalised split r-hat and effective sizes, by variable
    n_calls : gradients of the density that were computed, those of the tuning left out
    seconds : wall time
    """

    variables: Mapping[str, FloatArray]
    statistics: Mapping[str, np.ndarray[Any, Any]]
    rhat: Mapping[str, float]
    ess_bulk: Mapping[str, float]
    ess_tail: Mapping[str, float]
    n_calls: int
    seconds: float

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return int(self.statistics["diverging"].shape[0])

    @property
    def divergences(self) -> int:
        """Number of draws after which a trajectory diverged."""
        return int(self.statistics["diverging"].sum())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that a reader must see before the numbers; none if all is well."""
        found = []
        if self.divergences:
            found.append(
                f"{self.divergences} trajectories of the sampler diverged: parts of the posterior"
                " may be missing. Raise target_accept, or write the model with other parameters."
            )
        # Written so that NaN counts as bad.
        apart = [name for name, value in self.rhat.items() if not value <= LARGEST_RHAT]
        if apart:
            found.append(
                f"The chains do not agree on {_listed(apart)} (r-hat above {LARGEST_RHAT}). Tune"
                " and draw longer, or look for several modes."
            )
        least = SMALLEST_ESS_A_CHAIN * self.n_chains
        sizes = {n: min(size, self.ess_tail[n]) for n, size in self.ess_bulk.items()}
        few = [name for name, size in sizes.items() if not size >= least]
        if few:
            found.append(
                f"The effective sample size of {_listed(few)} is below {least}: their intervals"
                " are noisy. Draw longer."
            )
        return tuple(found)


def sample_nuts(
    model: Any,
    chains: int,
    tune: int,
    draws: int,
    target_accept: float,
    backend: str,
    seed: int,
    variables: Sequence[str] | None = None,
    progress: Progress | None = None,
    starts: Sequence[Mapping[str, FloatArray]] = (),
) -> ChainRun:
    """Sample a PyMC model with NUTS.

    Parameters
    ----------
    model : PyMC model
    chains, tune, draws : number of chains, steps of tuning and draws of each
    target_accept : mean acceptance that the step size is tuned to
    backend : "pymc" or "nutpie"
    seed : of the random numbers
    variables : what to keep; all free variables and deterministics if None
    starts : where each chain starts, the free variables by name; with nutpie all start at the
        first. Without it they start about the middle of the prior

    Raises
    ------
    SkymixError
        If a free variable is discrete, or the sampler finds no place to start.
    """
    pm = import_pymc()
    discrete = [v.name for v in model.free_RVs if v.dtype not in ("float64", "float32")]
    if discrete:
        raise SkymixError(
            f"the free variables {_listed(discrete)} are discrete; NUTS needs continuous ones: sum"
            " them out of the likelihood, for example with pm.Mixture"
        )
    kept = list(variables or (v.name for v in [*model.free_RVs, *model.deterministics]))
    started = time.monotonic()
    quiet = logging.getLogger("pymc")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Convergence is judged here; nutpie repeats PyMC's defaults as warnings.
            warnings.filterwarnings("ignore", module="pymc|nutpie")
            run_chains = _nutpie if backend == "nutpie" else _pymc
            data = run_chains(
                model, kept, starts, seed,
                draws=draws, tune=tune, chains=chains, target_accept=target_accept,
            )  # fmt: skip
    except (pm.exceptions.SamplingError, RuntimeError) as error:
        raise SkymixError(
            f"NUTS cannot start ({str(error).splitlines()[0]}); check that the likelihood is finite"
            " at the model's initial point"
        ) from None
    finally:
        quiet.setLevel(level)
    values = _flat(data.posterior[kept])  # nutpie keeps more
    varying = {name: x for name, x in values.items() if np.ptp(x) > 0}
    statistics = _statistics(data.sample_stats)
    run = ChainRun(
        variables=values,
        statistics=statistics,
        **_convergence(varying),
        n_calls=int(statistics["n_steps"].sum()),
        seconds=time.monotonic() - started,
    )
    if progress is not None:
        progress.close(
            f"{chains} chains of {draws} draws, r-hat at most {max(run.rhat.values()):.3f},"
            f" {run.divergences} divergences, {run.seconds:.1f} s"
        )
    return run


def _pymc(
    model: Any,
    variables: Sequence[str],
    starts: Sequence[Mapping[str, FloatArray]],
    seed: int,
    **settings: Any,
) -> Any:
    start = {"initvals": list(starts), "init": "adapt_diag"} if starts else {}
    return import_pymc().sample(
        **settings,
        **start,
        model=model,
        var_names=variables,
        random_seed=seed,
        cores=1,
        progressbar=False,
        compute_convergence_checks=False,
        compile_kwargs={"mode": MODE},
    )


def _nutpie(
    model: Any,
    variables: Sequence[str],
    starts: Sequence[Mapping[str, FloatArray]],
    seed: int,
    **settings: Any,
) -> Any:
    import nutpie

    start = {"initial_points": starts[0], "jitter_rvs": set()} if starts else {}
    compiled = nutpie.compile_pymc_model(model, var_names=variables, **start)
    return nutpie.sample(compiled, **settings, seed=seed, progress_bar=False)


def _flat(posterior: "xr.Dataset") -> dict[str, FloatArray]:
    """Every entry of every variable, (nchain, ndraw) by name."""
    out: dict[str, FloatArray] = {}
    for variable, values in posterior.data_vars.items():
        array = np.asarray(values.transpose("chain", "draw", ...).values, dtype=np.float64)
        entries = np.moveaxis(array.reshape(*array.shape[:2], -1), -1, 0)
        out |= dict(zip(element_names(str(variable), array.shape[2:]), entries, strict=True))
    return out


def _statistics(found: "xr.Dataset") -> dict[str, np.ndarray[Any, Any]]:
    out = {}
    for name in _STATISTICS:
        own = name if name in found else _NUTPIE_NAMES[name]
        values = found[own].transpose("chain", "draw").values
        out[name] = values.astype(np.int64) if name in _WHOLE else values
    return out


def _convergence(values: Mapping[str, FloatArray]) -> dict[str, dict[str, float]]:
    import xarray as xr
    from arviz import ess, rhat

    dataset = xr.Dataset({name: (("chain", "draw"), x) for name, x in values.items()})

    def numbers(result: xr.Dataset) -> dict[str, float]:
        return {name: float(result[name]) for name in values}

    return {
        "rhat": numbers(rhat(dataset)),
        "ess_bulk": numbers(ess(dataset, method="bulk")),
        "ess_tail": numbers(ess(dataset, method="tail")),
    }


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

"""Stages that sample the posterior of a likelihood."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from skymix.nested_runs import check_run, check_runs, merged, nested_run, run_product
from skymix.pipeline.inputs import inputs_of
from skymix.pipeline.studies import fit_of
from skymix.store import (
    LikelihoodTables,
    Provenance,
    read_product,
    write_posterior,
    write_product,
)
from skymix.store.lineage import require_settings
from skymix.study import Study
from skymix.study.mixture import LaplaceSampler, NestedSampler, NutsSampler
from skymix.study.stages import sampler_seed, stage_settings

if TYPE_CHECKING:
    import xarray as xr

    from skymix.mixture import RateMixture, TabulatedMixture
    from skymix.sampling import ChainRun, Executor, Progress, WeightedRun


def sample_posterior(
    study: Study,
    likelihood: Path,
    output: Path,
    run: int | None = None,
    executor: "Executor | None" = None,
    checkpoint: Path | None = None,
    deadline: float | None = None,
) -> None:
    """Sample the posterior of a likelihood and write it.

    Parameters
    ----------
    run : which of the study's independent runs to make, from 1; its dead points are written
    executor : who evaluates the likelihood; without one this process
    checkpoint : file that keeps a nested run while it goes on
    deadline : seconds since the epoch at which the job ends

    Raises
    ------
    Interrupted
        If a nested run was asked to stop; its checkpoint is written.
    """
    from skymix.sampling import Progress, check_evidence

    settings = study.sampler
    check_run(study.sampler, run)
    tables, mixture = _tables(study, likelihood)
    fit = fit_of(study, tables.observations)
    seed = sampler_seed(study, fit)
    provenance = Provenance(stage_settings(study, "posterior"), inputs_of(likelihood), seed)
    progress = Progress(fit if run is None else f"{fit}, run {run}")
    if not isinstance(settings, NestedSampler):
        draws = _draws(mixture, settings, seed, progress)
        write_posterior(output, _tree(draws, mixture, tables, seed), provenance)
        return
    with nested_run(
        mixture, settings, provenance, progress, run, executor, checkpoint, deadline
    ) as nested:
        if run is None:
            tree = _tree(nested, mixture, tables, seed, check_evidence(mixture, seed))
            write_posterior(output, tree, provenance)
        else:
            write_product(output, run_product(nested), provenance)


def draw_posterior(study: Study, likelihood: Path) -> "xr.DataTree":
    """The posterior of a likelihood, as `sample_posterior` writes it; it stays in memory.

    A nested run keeps no checkpoint and leaves out the check of its evidence.
    """
    from skymix.sampling import Progress

    settings = study.sampler
    check_run(settings, None)
    tables, mixture = _tables(study, likelihood)
    fit = fit_of(study, tables.observations)
    seed, progress = sampler_seed(study, fit), Progress(fit)
    if not isinstance(settings, NestedSampler):
        return _tree(_draws(mixture, settings, seed, progress), mixture, tables, seed)
    provenance = Provenance(stage_settings(study, "posterior"), inputs_of(likelihood), seed)
    with nested_run(mixture, settings, provenance, progress) as nested:
        return _tree(nested, mixture, tables, seed)


def merge_runs(study: Study, likelihood: Path, runs: Sequence[Path], output: Path) -> None:
    """Merge independent runs into one posterior and write it."""
    from skymix.sampling import check_evidence

    check_runs(study.sampler, runs)
    tables, mixture = _tables(study, likelihood)
    settings = stage_settings(study, "posterior")
    run = merged(runs, settings, likelihood)
    seed = sampler_seed(study, fit_of(study, tables.observations))
    provenance = Provenance(settings, inputs_of(likelihood, *runs), seed)
    tree = _tree(run, mixture, tables, seed, check_evidence(mixture, seed))
    write_posterior(output, tree, provenance)


def _tables(
    study: Study, likelihood: Path
) -> "tuple[LikelihoodTables, TabulatedMixture | RateMixture]":
    """Tables of a likelihood, made with the settings of this study, and their mixture."""
    from skymix.store.tables import mixture_of

    tables = read_product(likelihood, LikelihoodTables)
    require_settings(likelihood, stage_settings(study, "likelihood"))
    return tables, mixture_of(tables, study.likelihood.precision, study.likelihood.threads)


def _draws(
    mixture: "TabulatedMixture | RateMixture",
    settings: LaplaceSampler | NutsSampler,
    seed: int,
    progress: "Progress",
) -> "WeightedRun | ChainRun":
    """Draws of a sampler that is done in one go."""
    from skymix.mixture import TabulatedMixture
    from skymix.sampling import (
        model_from_mixture,
        sample_conditional,
        sample_laplace,
        sample_nuts,
    )

    if isinstance(settings, LaplaceSampler):
        if isinstance(mixture, TabulatedMixture):
            return sample_laplace(mixture, settings.draws, seed, progress)
        run, _ = sample_conditional(mixture, {}, settings.draws, seed)
        progress.close(run.outcome)
        return run
    return sample_nuts(
        model_from_mixture(mixture),
        settings.chains,
        settings.tune,
        settings.draws,
        settings.target_accept,
        settings.backend,
        seed,
        mixture.names,
        progress,
    )


def _tree(
    run: "WeightedRun | ChainRun",
    mixture: "TabulatedMixture | RateMixture",
    tables: LikelihoodTables,
    seed: int,
    check: Mapping[str, Any] = MappingProxyType({}),
) -> "xr.DataTree":
    """Groups of a posterior, with the results of a check among its attributes."""
    from skymix.sampling import WeightedRun
    from skymix.sampling.chains import chains_tree
    from skymix.sampling.posterior import posterior_tree
    from skymix.store.tables import units_of

    shared = (
        mixture,
        mixture.derived,
        units_of(tables),
        {"multiplicity": tables.multiplicity},
        json.loads(tables.truth),
        seed,
    )
    if isinstance(run, WeightedRun):
        tree = posterior_tree(run, *shared)
    else:
        tree = chains_tree(run, *shared)
    tree.attrs.update(check)
    return tree

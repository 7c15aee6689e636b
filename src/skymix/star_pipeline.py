"""The stages of an analysis of stars: each reads products, calls the library and writes one."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skymix.errors import DataError
from skymix.nested_runs import check_run, check_runs, merged, nested_run, run_product
from skymix.pipeline import inputs_of
from skymix.store import (
    Catalogue,
    Provenance,
    read_posterior,
    read_product,
    read_provenance,
    write_posterior,
    write_product,
)
from skymix.store.base import atomic_path
from skymix.store.lineage import require_inputs, require_settings
from skymix.study.load import data_folder
from skymix.study.mixture import NutsSampler
from skymix.study.stages import results_folder, sampler_seed, stream_seed
from skymix.study.star_stages import star_settings
from skymix.study.star_study import Control, StarStudy

if TYPE_CHECKING:
    import xarray as xr

    from skymix.domains.stars.mixture import StarMixture
    from skymix.sampling import ChainRun, Executor, Progress, WeightedRun

_DRAWS = 400  # of the posterior, over which memberships are averaged


def read_catalogue(study: StarStudy, output: Path) -> Catalogue:
    """Read, select and write the stars of a study, with the field that its control region fixes."""
    from skymix.domains.stars.build import mixture_of
    from skymix.domains.stars.catalogue import read_catalogue as read

    folder = data_folder(study)
    catalogue = read(study.catalogue, folder)
    if study.control is not None:
        catalogue = replace(catalogue, field=_field(study, study.control, catalogue))
    mixture_of(study, catalogue)  # what does not fit the components is refused here
    provenance = Provenance(
        star_settings(study, "catalogue"),
        inputs_of(folder / study.catalogue.path),
        None if study.control is None else _control_seed(study),
    )
    write_product(output, catalogue, provenance)
    return catalogue


def _field(study: StarStudy, control: Control, selected: Catalogue) -> str:
    """Field of the highest likelihood in the control region."""
    from skymix.domains.stars.build import field_mixture
    from skymix.domains.stars.catalogue import read_catalogue as read
    from skymix.domains.stars.control import check_apart, field_text
    from skymix.sampling import highest_likelihood

    settings = study.catalogue.model_copy(update={"region": control.region, "labels": None})
    try:
        stars = read(settings, data_folder(study))
    except DataError as error:
        raise DataError(f"control.region: {error}") from None
    check_apart(selected, stars)
    mixture = field_mixture(study, stars)
    return field_text(mixture, highest_likelihood(mixture, _control_seed(study)))


def _control_seed(study: StarStudy) -> int:
    return stream_seed(study, "catalogue", "control")


def sample_posterior(
    study: StarStudy,
    catalogue: Path,
    output: Path,
    run: int | None = None,
    executor: "Executor | None" = None,
    checkpoint: Path | None = None,
    deadline: float | None = None,
) -> None:
    """Sample the posterior of a study and write it; parameters as of `pipeline.sample_posterior`.

    Raises
    ------
    Interrupted
        If the run was asked to stop; its checkpoint is written.
    """
    from skymix.sampling import Progress

    settings = study.sampler
    check_run(settings, run)
    mixture = _mixture(study, catalogue)
    seed = sampler_seed(study, "stars")
    provenance = Provenance(star_settings(study, "posterior"), inputs_of(catalogue), seed)

    progress = Progress(study.name if run is None else f"{study.name}, run {run}")
    if isinstance(settings, NutsSampler):
        chains = _chains(mixture, settings, seed, progress)
        _write_posterior(study, output, chains, mixture, provenance)
        return
    with nested_run(
        mixture, settings, provenance, progress, run, executor, checkpoint, deadline
    ) as nested:
        if run is None:
            _write_posterior(study, output, nested, mixture, provenance)
        else:
            write_product(output, run_product(nested), provenance)


def _chains(
    mixture: "StarMixture", settings: NutsSampler, seed: int, progress: "Progress"
) -> "ChainRun":
    from skymix.sampling import model_from_mixture, nuts_starts, sample_nuts

    started = time.monotonic()
    starts = nuts_starts(mixture, settings.chains, seed)
    run = sample_nuts(
        model_from_mixture(mixture),
        settings.chains,
        settings.tune,
        settings.draws,
        settings.target_accept,
        settings.backend,
        seed,
        mixture.names,
        progress,
        starts,
    )
    return replace(run, seconds=time.monotonic() - started)


def merge_runs(study: StarStudy, catalogue: Path, runs: Sequence[Path], output: Path) -> None:
    """Merge independent runs into one posterior and write it."""
    check_runs(study.sampler, runs)
    settings = star_settings(study, "posterior")
    mixture = _mixture(study, catalogue)
    provenance = Provenance(settings, inputs_of(catalogue, *runs), sampler_seed(study, "stars"))
    run = merged(runs, settings, catalogue)
    _write_posterior(study, output, run, mixture, provenance)


def _mixture(study: StarStudy, catalogue: Path) -> "StarMixture":
    from skymix.domains.stars.build import mixture_of

    stars = read_product(catalogue, Catalogue)
    require_settings(catalogue, star_settings(study, "catalogue"))
    return mixture_of(study, stars)


def _write_posterior(
    study: StarStudy,
    output: Path,
    run: "WeightedRun | ChainRun",
    mixture: "StarMixture",
    provenance: Provenance,
) -> None:
    from skymix.domains.stars.build import units_of
    from skymix.sampling import WeightedRun
    from skymix.sampling.chains import chains_tree
    from skymix.sampling.posterior import posterior_tree

    truth: dict[str, float] = {}
    shared = (
        mixture,
        mixture.derived,
        units_of(study, mixture),
        {"row": mixture.catalogue.row.astype(np.float64)},
        truth,
        sampler_seed(study, "stars"),
    )
    if isinstance(run, WeightedRun):
        tree = posterior_tree(run, *shared)
    else:
        tree = chains_tree(run, *shared)
    write_posterior(output, tree, provenance)


def predict_posterior(study: StarStudy, catalogue: Path, posterior: Path, output: Path) -> None:
    """Compute the membership of every star and write it beside the columns of the input table."""
    from astropy.table import Column

    from skymix.domains.stars.catalogue import read_table

    mixture = _mixture(study, catalogue)
    tree = _posterior(study, catalogue, posterior)
    draws = np.stack([np.ravel(tree["posterior"][n]) for n in mixture.names], axis=1)
    some = np.unique(np.linspace(0, len(draws) - 1, _DRAWS).astype(np.int64))
    mean, spread = mixture.membership(draws[some])
    source = data_folder(study) / study.catalogue.path
    require_inputs(catalogue, source)
    table = read_table(source, study.catalogue.format)[mixture.catalogue.row]
    table.meta = {
        "description": "Stars with the probability of each component, posterior mean and spread",
        "inputs": inputs_of(catalogue, posterior),
    }
    table["skymix_row"] = Column(mixture.catalogue.row, description="Row of the input, from 0")
    for k, leaf in enumerate(mixture.tree.leaves):
        for name, values in ((f"probability.{leaf}", mean), (f"probability_sd.{leaf}", spread)):
            if name in table.colnames:
                raise DataError(f"{source}: has a column '{name}' already; rename it")
            table[name] = values[:, k]
    with atomic_path(output) as part:
        table.write(part, format="ascii.ecsv", overwrite=True)


def make_report(study: StarStudy, output: Path) -> Path:
    """Make the report of a study from the products in its results folder."""
    from skymix.report import StarReport, installed_versions, make_star_report

    folder = results_folder(study) / "fits" / "stars"
    catalogue, posterior = folder / "catalogue.h5", folder / "posterior.nc"
    tree = _posterior(study, catalogue, posterior)
    mean, spread = _memberships(study, folder / "membership.ecsv", catalogue, posterior)
    return make_star_report(
        StarReport(
            study,
            read_product(catalogue, Catalogue),
            tree,
            mean,
            spread,
            {"fits/stars/catalogue.h5": read_provenance(catalogue)},
            installed_versions(),
        ),
        output,
    )


def _memberships(study: StarStudy, path: Path, catalogue: Path, posterior: Path) -> Any:
    """Mean and spread, (nstar, nleaf) each, of the table, checked to be of these products."""
    from astropy.table import Table

    try:
        table = Table.read(path, format="ascii.ecsv")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run the stage that makes it") from None
    except ValueError:
        raise DataError(f"{path}: not an ECSV table; delete it and run again") from None
    if table.meta.get("inputs") != inputs_of(catalogue, posterior):
        raise DataError(f"{path}: was not made from this posterior; delete it and run again")
    leaves = study.tree.leaves()
    return tuple(
        np.stack([np.asarray(table[f"{kind}.{leaf}"]) for leaf in leaves], axis=1)
        for kind in ("probability", "probability_sd")
    )


def summary(study: StarStudy) -> str:
    """Evidence and posterior table, and the path of the report, as text."""
    from skymix.report import summary_text

    root = results_folder(study)
    folder = root / "fits" / "stars"
    tree = _posterior(study, folder / "catalogue.h5", folder / "posterior.nc")
    return f"{summary_text('stars', tree)}\n\nReport: {root / 'report' / 'index.html'}"


def _posterior(study: StarStudy, catalogue: Path, posterior: Path) -> "xr.DataTree":
    """Posterior made with the settings of this study, from this catalogue."""
    tree = read_posterior(posterior)
    require_settings(posterior, star_settings(study, "posterior"))
    require_settings(catalogue, star_settings(study, "catalogue"))
    require_inputs(posterior, catalogue)
    return tree

"""Stages that read the posterior: predictions, report and summary."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymix.pipeline.inputs import (
    events_of,
    inputs_of,
    marginals_of,
    posterior_of,
)
from skymix.store import (
    Diagnostics,
    Events,
    LikelihoodTables,
    Provenance,
    read_posterior,
    read_product,
    read_provenance,
    write_product,
)
from skymix.store.limits import Limits
from skymix.store.lineage import require_inputs, require_settings
from skymix.study import Study
from skymix.study.observation import Grids, OnOffEvents
from skymix.study.stages import response_key, results_folder, stage_settings

if TYPE_CHECKING:
    from skymix.report import Fit


def predict_posterior(
    study: Study, events: Path, marginals: Path, likelihood: Path, posterior: Path, output: Path
) -> None:
    """Compute and write membership probabilities and predicted counts.

    Parameters
    ----------
    study : the study
    events, marginals : folders with ``<observation>.h5`` and ``<observation>/<component>.h5``
    likelihood, posterior : products of the fit
    output : file to write
    """
    from skymix.diagnostics import Observed, Space
    from skymix.diagnostics import predict_posterior as predict
    from skymix.domains.gamma.grids import data_grid
    from skymix.store.tables import mixture_of

    tables = read_product(likelihood, LikelihoodTables)
    require_settings(likelihood, stage_settings(study, "likelihood"))
    tree = read_posterior(posterior)
    require_inputs(posterior, likelihood)
    files = [
        (events / f"{name}.h5", {leaf: marginals / name / f"{leaf}.h5" for leaf in tables.leaves})
        for name in tables.observations
    ]
    for event_file, of_leaves in files:
        require_inputs(likelihood, event_file, *of_leaves.values())
    spaces = list(dict.fromkeys(_data_space(study, name) for name in tables.observations))
    diagnostics = predict(
        mixture_of(tables),
        tables,
        tree,
        (
            Observed(
                events_of(study, name, event_file),
                [marginals_of(path, name, leaf) for leaf, path in of_leaves.items()],
                spaces.index(_data_space(study, name)),
            )
            for name, (event_file, of_leaves) in zip(tables.observations, files, strict=True)
        ),
        [Space(data_grid(grids, study.region), mapped) for grids, mapped in spaces],
    )
    read = [path for event_file, of_leaves in files for path in (event_file, *of_leaves.values())]
    provenance = Provenance(
        stage_settings(study, "diagnostics"), inputs_of(likelihood, posterior, *read)
    )
    write_product(output, diagnostics, provenance)


def _data_space(study: Study, observation: str) -> tuple[Grids, bool]:
    """Grids of an observation, and whether it resolves directions."""
    on_off = isinstance(study.observations[observation].events, OnOffEvents)
    return study.grids_of(observation), not on_off


def make_report(study: Study, output: Path) -> Path:
    """Make the report of a study from the products in its results folder."""
    from skymix.report import ReportInput, installed_versions
    from skymix.report import make_report as make

    fits = tuple(_fit(study, name, names) for name, names in study.fitted().items())
    return make(ReportInput(study, fits, installed_versions()), output)


def _fit(study: Study, fit: str, names: Sequence[str]) -> "Fit":
    """Products of a fit, checked to belong together."""
    from skymix.report import Fit

    root = results_folder(study)
    folder = root / "fits" / fit
    events = {name: root / "events" / f"{name}.h5" for name in names}
    leaves = study.tree.leaves()
    paths = [
        *events.values(),
        *{root / "response" / f"{response_key(study, name)}.h5": None for name in names},
        *(root / "marginals" / name / f"{leaf}.h5" for name in names for leaf in leaves),
        folder / "likelihood.h5",
        folder / "diagnostics.h5",
    ]
    posterior = posterior_of(study, folder)
    require_inputs(folder / "diagnostics.h5", folder / "posterior.nc", *events.values())
    limits = root / "limits" / f"{fit}.h5"
    limited = study.limits is not None and limits.exists()
    if limited:
        require_settings(limits, stage_settings(study, "limits"))
        require_inputs(limits, *events.values())
        paths.append(limits)
    products = {str(path.relative_to(root)): read_provenance(path) for path in paths}
    products[f"fits/{fit}/posterior.nc"] = _decoded(posterior.attrs)
    return Fit(
        fit,
        posterior,
        read_product(folder / "diagnostics.h5", Diagnostics),
        read_product(folder / "likelihood.h5", LikelihoodTables),
        tuple(read_product(path, Events) for path in events.values()),
        products,
        read_product(limits, Limits) if limited else None,
    )


def summary(study: Study) -> str:
    """Evidence and posterior table of each fit, and the path of the report, as text."""
    from skymix.report import summary_text

    root = results_folder(study)
    texts = [
        summary_text(name, posterior_of(study, root / "fits" / name)) for name in study.fitted()
    ]
    return "\n\n".join([*texts, f"Report: {root / 'report' / 'index.html'}"])


def _decoded(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        name: json.loads(value) if name in ("study", "inputs") else value
        for name, value in attributes.items()
    }

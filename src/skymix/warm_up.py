"""Compiling the numerical kernels ahead of time, by a tiny run of the stages."""

import io
from collections.abc import Mapping
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from skymix import pipeline, star_pipeline
from skymix.domains.stars.build import mixture_of
from skymix.store import Catalogue, read_product
from skymix.study import Study, study_from_mapping
from skymix.study.default import DEFAULT_STUDY
from skymix.study.star_study import StarStudy

_FREE = {"min": -1, "max": 1}
_STARS: dict[str, Any] = {
    "domain": "stars",
    "name": "warm_up",
    "catalogue": {
        "path": "stars.csv",
        "coordinates": {
            "motion": {"column": "x", "error": "error", "unit": "mas/yr", "column_unit": "mas/yr"}
        },
    },
    "components": {
        "cluster": {"kind": "normal", "mean": {"motion": _FREE}, "sigma": {"motion": 0.1}},
        "field": {"kind": "uniform"},
    },
    "tree": {"children": {"cluster": None, "field": None}},
    "sampler": {"live_points": 20, "dlogz": 10},
}


def warm_up() -> None:
    """Compile the numerical kernels by a tiny run of the stages; numba keeps them on disk."""
    # The progress of a run that nobody asked for is not shown.
    with TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        for events in ("binned", "unbinned"):
            study = study_from_mapping(_tiny(DEFAULT_STUDY, events))
            _run_all(study, Path(folder) / events)
        _run_stars(Path(folder))


def _tiny(settings: Mapping[str, Any], events: str) -> dict[str, Any]:
    """The default study on few cells, with few events."""
    grids = dict(settings["grids"]) | {"pixel": "0.5 deg", "margin": "0.5 deg"}
    for axis in ("energy", "true_energy"):
        grids[axis] = dict(grids[axis]) | {"per_decade": 2}
    observations = {}
    for name, observation in settings["observations"].items():
        drawn = dict(observation["events"])
        drawn["counts"] = dict.fromkeys(settings["components"], 20)
        observations[name] = dict(observation) | {"events": drawn}
    return dict(settings) | {
        "grids": grids,
        "observations": observations,
        "marginalisation": {"events": events},
        "sampler": {"live_points": 20, "dlogz": 10},
    }


def _run_all(study: Study, folder: Path) -> None:
    response, likelihood = folder / "response.h5", folder / "likelihood.h5"
    marginals = folder / "marginals"
    for name in study.observations:
        events = folder / "events" / f"{name}.h5"
        pipeline.tabulate_response(study, name, response)
        pipeline.simulate_events(study, name, response, events)
        for component in study.components:
            output = marginals / name / f"{component}.h5"
            pipeline.marginalise_nuisance(study, name, component, events, response, output)
    for fit in study.fitted():
        pipeline.gather_marginals(study, fit, folder / "events", marginals, likelihood)
        pipeline.sample_posterior(study, likelihood, folder / "posterior.nc")


def _run_stars(folder: Path) -> None:
    """Values and derivatives of the likelihood of a few stars."""
    lines = [f"{x},0.1" for x in np.linspace(-1, 1, 20)]
    (folder / "stars.csv").write_text("\n".join(["x,error", *lines]), encoding="utf-8")
    study = StarStudy.model_validate(_STARS | {"data": folder})
    catalogue = folder / "catalogue.h5"
    star_pipeline.read_catalogue(study, catalogue)
    mixture = mixture_of(study, read_product(catalogue, Catalogue))
    theta = mixture.prior_transform(np.full((2, len(mixture.names)), 0.5))
    mixture.log_likelihood(theta)
    mixture.log_likelihood_gradient(theta)

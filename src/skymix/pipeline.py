"""The stages of an analysis: each reads products, calls the library and writes one product."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from skymix.errors import DataError, StudyError
from skymix.store import (
    Diagnostics,
    Events,
    LikelihoodTables,
    Marginals,
    Provenance,
    Response,
    file_sha256,
    read_posterior,
    read_product,
    read_provenance,
    write_posterior,
    write_product,
)
from skymix.store.base import atomic_path
from skymix.store.lineage import require_inputs, require_settings
from skymix.study import Study, load_study, study_from_mapping
from skymix.study.files import component_tables
from skymix.study.load import data_folder
from skymix.study.mixture import LaplaceSampler
from skymix.study.model import parameter_name
from skymix.study.observation import RecordedEvents, SimulatedEvents
from skymix.study.parameters import Scan
from skymix.study.stages import response_key, results_folder, stage_settings, stream_seed


def _inputs(*paths: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in paths}


def read_events(study: Study, observation: str, output: Path) -> Events:
    """Read, select and write the recorded events of an observation."""
    from skymix.domains.gamma.dl3 import locate
    from skymix.domains.gamma.events import read_events as read
    from skymix.domains.gamma.geometry import RegionFrame

    settings = study.observations[observation].events
    if not isinstance(settings, RecordedEvents):
        raise StudyError(
            f"observations.{observation}.events: is simulated; use 'skymix simulate-events'"
        )
    path = locate(settings.path, data_folder(study))
    events = read(
        path,
        observation,
        RegionFrame(study.region.centre),
        study.grids,
        study.region,
        study.selection,
    )
    provenance = Provenance(stage_settings(study, "events", observation=observation), _inputs(path))
    write_product(output, events, provenance)
    return events


def tabulate_response(study: Study, observation: str, output: Path) -> Response:
    """Tabulate and write the instrument response of an observation."""
    from skymix.domains.gamma.grids import true_grid
    from skymix.domains.gamma.response import tabulate_response as tabulate

    axis = true_grid(study.grids, study.region).energy
    response, inputs = tabulate(study.observations[observation].response, axis, data_folder(study))
    settings = stage_settings(study, "response", observation=observation)
    write_product(output, response, Provenance(settings, inputs))
    return response


def simulate_events(study: Study, observation: str, response: Path, output: Path) -> Events:
    """Simulate, select and write the events of an observation."""
    from skymix.domains.gamma.observe import simulate_observation

    settings = study.observations[observation].events
    if not isinstance(settings, SimulatedEvents):
        raise StudyError(
            f"observations.{observation}.events: is recorded; use 'skymix read-events'"
        )
    seed = settings.seed
    if seed is None:
        seed = stream_seed(study, "events", observation)
    events = simulate_observation(
        study, observation, _response(study, observation, response), data_folder(study), seed
    )
    inputs = _inputs(response, *component_tables(study, *study.components))
    provenance = Provenance(stage_settings(study, "events", observation=observation), inputs, seed)
    write_product(output, events, provenance)
    return events


def marginalise_nuisance(
    study: Study,
    observation: str,
    component: str,
    events: Path,
    response: Path,
    output: Path,
    chunk: tuple[int, int] | None = None,
) -> Marginals:
    """Marginalise a component at the events of an observation and write its densities.

    `chunk` is the number of a part of the events, counted from 1, and how many parts there are.
    """
    from skymix.domains.gamma.observe import marginalise_component

    if chunk and study.marginalisation.events == "binned":
        raise StudyError("marginalisation.events: is binned; only unbinned events have chunks")
    event_list = _events(study, observation, events)
    marginals = marginalise_component(
        study,
        observation,
        component,
        event_list.chunk(*chunk) if chunk else event_list,
        _response(study, observation, response),
        data_folder(study),
    )
    settings = stage_settings(study, "marginals", component=component)
    if chunk:
        settings["chunk"] = list(chunk)
    inputs = _inputs(events, response, *component_tables(study, component))
    write_product(output, marginals, Provenance(settings, inputs))
    return marginals


def join_marginals(study: Study, component: str, chunks: Sequence[Path], output: Path) -> None:
    """Join the marginals of all chunks of an observation and write them as those of the whole."""
    from skymix.store.join import join_marginals as join

    settings = stage_settings(study, "marginals", component=component)
    inputs: dict[str, str] = {}
    numbers = []
    for path in chunks:
        require_settings(path, settings)
        made = read_provenance(path)
        numbers.append(made["study"].get("chunk"))
        if inputs and made["inputs"] != inputs:
            raise DataError(
                f"{path}: was not made from the same files as the other chunks;"
                " delete them and run again"
            )
        inputs = made["inputs"]
    if numbers != [[k + 1, len(chunks)] for k in range(len(chunks))]:
        raise DataError(
            f"{output}: these are not all chunks of one observation in their order; give each once"
        )
    marginals = join([read_product(path, Marginals) for path in chunks])
    write_product(output, marginals, Provenance(settings, inputs))


def gather_marginals(
    study: Study, observation: str, events: Path, marginals: Path, output: Path
) -> LikelihoodTables:
    """Gather the marginals of all leaves of an observation into the tables of one likelihood."""
    from skymix.domains.gamma.data import data_of
    from skymix.domains.gamma.grids import data_grid
    from skymix.store.tables import gather_tables, true_fractions

    event_list = _events(study, observation, events)
    binned = study.marginalisation.events == "binned"
    data = data_of(event_list, data_grid(study.grids, study.region), binned)
    settings = stage_settings(study, "likelihood")
    tree = settings["tree"]
    paths = [marginals / f"{leaf}.h5" for leaf in study.tree.leaves()]
    for leaf, path in zip(study.tree.leaves(), paths, strict=True):
        require_settings(path, stage_settings(study, "marginals", component=leaf))
        require_inputs(path, events)
    truth: dict[str, float] = {}
    if event_list.expected_counts.size:
        total = event_list.expected_counts.sum()
        shares = (event_list.expected_counts / total).tolist()
        weights = dict(zip(event_list.components, shares, strict=True))
        truth = json.loads(event_list.truth) | true_fractions(tree, weights)
        truth |= {f"weight.{leaf}": weight for leaf, weight in weights.items()}
    tables = gather_tables(
        [read_product(path, Marginals) for path in paths],
        observation,
        data.event_datum,
        tree,
        parameter_priors(study),
        truth,
    )
    write_product(output, tables, Provenance(settings, _inputs(events, *paths)))
    return tables


def parameter_priors(study: Study) -> dict[str, dict[str, Any]]:
    """Prior of each scanned parameter, by name."""
    return {
        parameter_name(component, field, scan): _prior(scan)
        for component, field, scan in study.scans()
    }


def _prior(scan: "Scan[float]") -> dict[str, Any]:
    lower, upper = scan.prior_bounds()
    if scan.prior is None:
        kind = "log_uniform" if scan.spacing == "log" else "uniform"
        return {"kind": kind, "lower": lower, "upper": upper}
    return {
        "kind": scan.prior.kind,
        "lower": lower,
        "upper": upper,
        "mean": scan.prior.mean,
        "sd": scan.prior.sd,
    }


def sample_posterior(study: Study, likelihood: Path, output: Path) -> None:
    """Sample the posterior of a likelihood and write it."""
    from skymix.sampling import (
        Progress,
        WeightedRun,
        check_evidence,
        posterior_tree,
        sample_laplace,
        sample_nested,
    )
    from skymix.store.tables import mixture_of

    tables = read_product(likelihood, LikelihoodTables)
    require_settings(likelihood, stage_settings(study, "likelihood"))
    mixture = mixture_of(tables)
    settings = study.sampler
    fit = "+".join(tables.observations)
    seed = settings.seed if settings.seed is not None else stream_seed(study, "posterior", fit)
    progress = Progress(fit)
    check: dict[str, Any] = {}
    if isinstance(settings, LaplaceSampler):
        run: WeightedRun = sample_laplace(mixture, settings.draws, seed, progress)
    else:
        run = sample_nested(
            mixture,
            settings.live_points,
            settings.dlogz,
            settings.bound,
            settings.sample,
            seed,
            progress,
        )
        check = check_evidence(mixture, seed)

    def leaf_weights(theta: np.ndarray) -> dict[str, np.ndarray]:
        weights = mixture.weights(theta)
        return {f"weight.{leaf}": weights[:, k] for k, leaf in enumerate(mixture.tree.leaves)}

    tree = posterior_tree(
        run,
        mixture,
        leaf_weights,
        dict(zip(tables.parameters, tables.units, strict=True)),
        {"multiplicity": tables.multiplicity},
        json.loads(tables.truth),
        seed,
    )
    tree.attrs |= check
    provenance = Provenance(stage_settings(study, "posterior"), _inputs(likelihood), seed)
    write_posterior(output, tree, provenance)


def _events(study: Study, observation: str, path: Path) -> Events:
    """Events of an observation, made with the settings of this study."""
    events = read_product(path, Events)
    if events.observation != observation:
        raise DataError(
            f"{path}: holds the events of '{events.observation}', not of '{observation}'; give"
            " the event file of the observation"
        )
    # Simulated events may be fitted with other components than those that made them.
    settings = stage_settings(study, "events", observation=observation)
    settings.pop("components", None)
    require_settings(path, settings)
    return events


def _response(study: Study, observation: str, path: Path) -> Response:
    """Response of an observation, made with the settings of this study."""
    response = read_product(path, Response)
    require_settings(path, stage_settings(study, "response", observation=observation))
    return response


def _of_leaves(leaves: Sequence[str], paths: Sequence[Path]) -> list[Marginals]:
    """Marginals in the order of the leaves, one for each."""
    found = {m.component: m for m in (read_product(path, Marginals) for path in paths)}
    missing = [leaf for leaf in leaves if leaf not in found]
    if missing:
        raise DataError(
            f"the marginals of {', '.join(missing)} are missing; give --marginals once for each"
            f" of {', '.join(leaves)}"
        )
    return [found[leaf] for leaf in leaves]


def predict_posterior(
    study: Study,
    events: Path,
    likelihood: Path,
    posterior: Path,
    marginals: Sequence[Path],
    output: Path,
) -> None:
    """Compute and write membership probabilities and predicted counts."""
    from skymix.diagnostics import predict_posterior as predict
    from skymix.domains.gamma.grids import data_grid
    from skymix.store.tables import mixture_of

    tables = read_product(likelihood, LikelihoodTables)
    require_settings(likelihood, stage_settings(study, "likelihood"))
    require_inputs(likelihood, events, *marginals)
    tree = read_posterior(posterior)
    require_inputs(posterior, likelihood)
    diagnostics = predict(
        mixture_of(tables),
        tables,
        tree,
        _of_leaves(tables.leaves, marginals),
        _events(study, tables.observations[0], events),
        data_grid(study.grids, study.region),
    )
    provenance = Provenance(
        stage_settings(study, "diagnostics"), _inputs(events, likelihood, posterior, *marginals)
    )
    write_product(output, diagnostics, provenance)


def make_report(study: Study, output: Path) -> Path:
    """Make the report of a study from the products in its results folder."""
    from skymix.report import Fit, ReportInput, installed_versions
    from skymix.report import make_report as make

    root = results_folder(study)
    fits = []
    for name in study.observations:
        folder = root / "fits" / name
        events = root / "events" / f"{name}.h5"
        paths = [
            events,
            root / "response" / f"{response_key(study, name)}.h5",
            *(root / "marginals" / name / f"{leaf}.h5" for leaf in study.tree.leaves()),
            folder / "likelihood.h5",
            folder / "diagnostics.h5",
        ]
        posterior = _posterior(study, folder)
        require_inputs(folder / "diagnostics.h5", folder / "posterior.nc", events)
        products = {str(path.relative_to(root)): read_provenance(path) for path in paths}
        products[f"fits/{name}/posterior.nc"] = _decoded(posterior.attrs)
        fits.append(
            Fit(
                name,
                posterior,
                read_product(folder / "diagnostics.h5", Diagnostics),
                read_product(folder / "likelihood.h5", LikelihoodTables),
                (read_product(events, Events),),
                products,
            )
        )
    return make(ReportInput(study, tuple(fits), installed_versions()), output)


def summary(study: Study) -> str:
    """Evidence and posterior table of each fit, and the path of the report, as text."""
    from skymix.report import summary_text

    root = results_folder(study)
    texts = [
        summary_text(name, _posterior(study, root / "fits" / name)) for name in study.observations
    ]
    return "\n\n".join([*texts, f"Report: {root / 'report' / 'index.html'}"])


def _posterior(study: Study, folder: Path) -> xr.DataTree:
    """Posterior of a fit's folder, made with the settings of this study."""
    posterior, likelihood = folder / "posterior.nc", folder / "likelihood.h5"
    tree = read_posterior(posterior)
    require_settings(posterior, stage_settings(study, "posterior"))
    require_settings(likelihood, stage_settings(study, "likelihood"))
    require_inputs(posterior, likelihood)
    return tree


def load(path: Path, observations: Sequence[str] = (), components: Sequence[str] = ()) -> Study:
    """Read a study and refuse observations and components that it does not hold."""
    study = load_study(path, observations)
    for kind, names, known in (
        ("observation", observations, study.observations),
        ("component", components, study.components),
    ):
        for name in names:
            if name not in known:
                raise StudyError(
                    f"{path}: the study has no {kind} '{name}'; it has {', '.join(known)}"
                )
    return study


def freeze_study(settings: Any, output: Path) -> None:
    """Check a study and write it with all its settings, as the workflow's jobs read it."""
    # JSON is YAML that is read a hundred times faster.
    text = json.dumps(study_from_mapping(settings).model_dump(mode="json"), indent=1)
    with atomic_path(output) as part:
        part.write_text(text, encoding="utf-8")


def _decoded(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        name: json.loads(value) if name in ("study", "inputs") else value
        for name, value in attributes.items()
    }

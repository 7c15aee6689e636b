"""The stages of an analysis: each reads products, calls the library and writes one product."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymix.errors import DataError, StudyError
from skymix.nested_runs import check_run, check_runs, merged, nested_run, run_product
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
from skymix.store.join import without_data
from skymix.store.lineage import require_inputs, require_settings, require_source
from skymix.study import Study, load_study
from skymix.study.files import component_tables, event_files
from skymix.study.load import any_study_from_mapping, data_folder
from skymix.study.mixture import LaplaceSampler, NestedSampler, NutsSampler
from skymix.study.model import parameter_name
from skymix.study.observation import Grids, OnOffEvents, SimulatedEvents
from skymix.study.parameters import Scan
from skymix.study.rates import rate_settings
from skymix.study.stages import response_key, results_folder, stage_settings, stream_seed

if TYPE_CHECKING:
    import xarray as xr

    from skymix.mixture import RateMixture, TabulatedMixture
    from skymix.report import Fit
    from skymix.sampling import ChainRun, Executor, Progress, WeightedRun
    from skymix.store.gather import Observed


def inputs_of(*paths: Path) -> dict[str, str]:
    """Checksum of each file, by its name; with its folder's where several have one name."""
    names = Counter(path.name for path in paths)
    return {
        path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}": file_sha256(path)
        for path in paths
    }


def read_events(study: Study, observation: str, output: Path) -> Events:
    """Read, select and write the recorded events of an observation."""
    from skymix.domains.gamma.dl3 import locate
    from skymix.domains.gamma.events import read_events as read
    from skymix.domains.gamma.geometry import RegionFrame
    from skymix.domains.gamma.grids import data_grid
    from skymix.domains.gamma.on_off import read_on_off

    settings = study.observations[observation].events
    if isinstance(settings, SimulatedEvents):
        raise StudyError(
            f"observations.{observation}.events: is simulated; use 'skymix simulate-events'"
        )
    frame, folder = RegionFrame(study.region.centre), data_folder(study)
    paths = [locate(path, folder) for path in event_files(study, observation)]
    if isinstance(settings, OnOffEvents):
        grid = data_grid(study.grids_of(observation), study.region)
        events = read_on_off(paths, observation, settings, frame, grid)
    else:
        grids = study.grids_of(observation)
        events = read(paths[0], observation, frame, grids, study.region, study.selection)
    provenance = Provenance(
        stage_settings(study, "events", observation=observation), inputs_of(*paths)
    )
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
    inputs = inputs_of(response, *component_tables(study, *study.components))
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
    part = event_list.chunk(*chunk) if chunk else event_list
    marginals = marginalise_component(
        study,
        observation,
        component,
        part if part.size else event_list.chunk(1, event_list.size),
        _response(study, observation, response),
        data_folder(study),
    )
    settings = stage_settings(study, "marginals", observation=observation, component=component)
    if chunk:
        settings["chunk"] = list(chunk)
    if not part.size:
        marginals = without_data(marginals)
    inputs = inputs_of(events, response, *component_tables(study, component))
    write_product(output, marginals, Provenance(settings, inputs))
    return marginals


def marginalise_together(
    study: Study, observation: str, events: Path, response: Path, outputs: Mapping[str, Path]
) -> None:
    """Marginalise some components at the events of an observation, a file each.

    The files are those of `marginalise_nuisance`; what does not depend on the component is computed
    once.
    """
    from skymix.domains.gamma.observe import marginalise_components

    found = marginalise_components(
        study,
        observation,
        outputs,
        _events(study, observation, events),
        _response(study, observation, response),
        data_folder(study),
    )
    for marginals in found:
        component = marginals.component
        settings = stage_settings(study, "marginals", observation=observation, component=component)
        inputs = inputs_of(events, response, *component_tables(study, component))
        write_product(outputs[component], marginals, Provenance(settings, inputs))


def join_marginals(
    study: Study, observation: str, component: str, chunks: Sequence[Path], output: Path
) -> None:
    """Join the marginals of all chunks of an observation and write them as those of the whole."""
    from skymix.store.join import join_marginals as join

    settings = stage_settings(study, "marginals", observation=observation, component=component)
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


def gather_marginals(study: Study, fit: str, events: Path, marginals: Path, output: Path) -> None:
    """Gather the marginals of all leaves and observations of a fit into one likelihood.

    Parameters
    ----------
    study : the study
    fit : name of the fit
    events, marginals : folders with ``<observation>.h5`` and ``<observation>/<component>.h5``
    output : file to write
    """
    from skymix.store.gather import Model, gather_tables

    names = study.fitted()[fit]
    rates = rate_settings(study, names)
    observed = [_observed(study, name, events, marginals, rates) for name in names]
    gather_tables(
        output,
        observed,
        Model(
            study.tree.model_dump(mode="json"),
            parameter_priors(study),
            study.likelihood.kind,
            rates,
            _modelled(study, names),
        ),
        Provenance(
            stage_settings(study, "likelihood"),
            inputs_of(*(path for o in observed for path in (o.events, *o.marginals))),
        ),
    )


def _observed(
    study: Study, name: str, events: Path, marginals: Path, rates: Mapping[str, Any]
) -> "Observed":
    """An observation of a fit, its products checked, its events not yet read."""
    from skymix.domains.gamma.data import data_of
    from skymix.domains.gamma.grids import data_grid
    from skymix.store.gather import Observed, ObservedData

    path = events / f"{name}.h5"
    paths = {leaf: marginals / name / f"{leaf}.h5" for leaf in study.tree.leaves()}
    for leaf, made in paths.items():
        settings = stage_settings(study, "marginals", observation=name, component=leaf)
        require_settings(made, settings)
    require_source(path, *paths.values())
    binned = study.marginalisation.events == "binned"

    def read() -> ObservedData:
        grid = data_grid(study.grids_of(name), study.region)
        data = data_of(_events(study, name, path), grid, binned)
        return ObservedData(data.event_datum, data.multiplicity, data.cell if binned else None)

    scaled = study.energy_scale(name)
    scale, alike = scaled[0] if scaled else "", None
    if binned:
        root = read_provenance(path)
        pointing = float(root["pointing_lon"]), float(root["pointing_lat"])
        factors = [f["name"] for f in rates.get("nuisances", ()) if name in f["observations"]]
        alike = (response_key(study, name), pointing, factors, study.grids_of(name), scale)
    return Observed(name, path, tuple(paths.values()), read, alike, scale)


def _modelled(study: Study, names: Sequence[str]) -> list[list[bool]]:
    """Whether the counts of each leaf in each observation are simulated as the model has them."""
    settings = [study.observations[name].events for name in names]
    return [
        [
            isinstance(events, SimulatedEvents) and events.counts.get(leaf, "model") == "model"
            for leaf in study.tree.leaves()
        ]
        for events in settings
    ]


def parameter_priors(study: Study) -> dict[str, dict[str, Any]]:
    """Prior of each scanned parameter and of each energy scale, by name."""
    priors = {
        parameter_name(component, field, scan): _prior(scan)
        for component, field, scan in study.scans()
    }
    scales = filter(None, map(study.energy_scale, study.observations))
    return priors | {name: _prior(scan) for name, scan in scales}


def _prior(scan: "Scan[float]") -> dict[str, Any]:
    lower, upper = scan.prior_bounds()
    if scan.prior is None:
        kind = "log_uniform" if scan.spacing == "log" else "uniform"
        return {"kind": kind, "lower": lower, "upper": upper}
    shape = {name: getattr(scan.prior, name) for name in ("mean", "sd", "median", "dex")}
    return {
        "kind": scan.prior.kind,
        "lower": lower,
        "upper": upper,
        **{name: value for name, value in shape.items() if value is not None},
    }


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
    from skymix.store.tables import mixture_of

    settings = study.sampler
    check_run(study.sampler, run)
    tables = read_product(likelihood, LikelihoodTables)
    require_settings(likelihood, stage_settings(study, "likelihood"))
    mixture = mixture_of(tables, study.likelihood.precision, study.likelihood.threads)
    fit = fit_of(study, tables.observations)
    seed = _sampler_seed(study, fit)
    made_with = stage_settings(study, "posterior")
    provenance = Provenance(made_with, inputs_of(likelihood), seed)
    progress = Progress(fit if run is None else f"{fit}, run {run}")
    if not isinstance(settings, NestedSampler):
        draws = _draws(mixture, settings, seed, progress)
        _write_posterior(output, draws, mixture, tables, {}, provenance)
        return
    identity = {"likelihood tables": file_sha256(likelihood), "seed": str(seed)}
    identity |= {"sampler settings": json.dumps(made_with, sort_keys=True), "run": str(run)}
    seeds = seed if run is None else (seed, run)
    with nested_run(
        mixture, settings, seeds, progress, executor, checkpoint, identity, deadline
    ) as nested:
        if run is None:
            check = check_evidence(mixture, seed)
            _write_posterior(output, nested, mixture, tables, check, provenance)
        else:
            write_product(output, run_product(nested), provenance)


def merge_runs(study: Study, likelihood: Path, runs: Sequence[Path], output: Path) -> None:
    """Merge independent runs into one posterior and write it."""
    from skymix.sampling import check_evidence
    from skymix.store.tables import mixture_of

    check_runs(study.sampler, runs)
    tables = read_product(likelihood, LikelihoodTables)
    require_settings(likelihood, stage_settings(study, "likelihood"))
    settings = stage_settings(study, "posterior")
    run = merged(runs, settings, likelihood)
    mixture = mixture_of(tables, study.likelihood.precision, study.likelihood.threads)
    seed = _sampler_seed(study, fit_of(study, tables.observations))
    provenance = Provenance(settings, inputs_of(likelihood, *runs), seed)
    check = check_evidence(mixture, seed)
    _write_posterior(output, run, mixture, tables, check, provenance)


def _sampler_seed(study: Study, fit: str) -> int:
    seed = study.sampler.seed
    return seed if seed is not None else stream_seed(study, "posterior", fit)


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


def _write_posterior(
    output: Path,
    run: "WeightedRun | ChainRun",
    mixture: "TabulatedMixture | RateMixture",
    tables: LikelihoodTables,
    check: Mapping[str, Any],
    provenance: Provenance,
) -> None:
    from skymix.sampling import WeightedRun, chains_tree, posterior_tree
    from skymix.store.tables import units_of

    shared = (
        mixture,
        mixture.derived,
        units_of(tables),
        {"multiplicity": tables.multiplicity},
        json.loads(tables.truth),
        provenance.seed or 0,
    )
    if isinstance(run, WeightedRun):
        tree = posterior_tree(run, *shared)
    else:
        tree = chains_tree(run, *shared)
    tree.attrs.update(check)
    write_posterior(output, tree, provenance)


def fit_of(study: Study, observations: Sequence[str]) -> str:
    """Name of the fit of these observations; their names joined if the study has no such fit."""
    wanted = set(observations)
    found = (fit for fit, names in study.fitted().items() if set(names) == wanted)
    return next(found, "+".join(sorted(wanted)))


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


def _marginals(path: Path, observation: str, component: str) -> Marginals:
    """Marginals of a component in an observation."""
    found = read_product(path, Marginals)
    if (found.observation, found.component) != (observation, component):
        raise DataError(
            f"{path}: holds the marginals of '{found.component}' in '{found.observation}', not of"
            f" '{component}' in '{observation}'; delete it and run again"
        )
    return found


def _response(study: Study, observation: str, path: Path) -> Response:
    """Response of an observation, made with the settings of this study."""
    response = _read_response(path, path.stat().st_mtime_ns if path.exists() else 0)
    require_settings(path, stage_settings(study, "response", observation=observation))
    return response


@lru_cache(maxsize=2)
def _read_response(path: Path, _modified: int) -> Response:
    """A response; kept while its file stays the same, as a calibration reads it again and again."""
    return read_product(path, Response)


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
                _events(study, name, event_file),
                [_marginals(path, name, leaf) for leaf, path in of_leaves.items()],
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
    posterior = _posterior(study, folder)
    require_inputs(folder / "diagnostics.h5", folder / "posterior.nc", *events.values())
    products = {str(path.relative_to(root)): read_provenance(path) for path in paths}
    products[f"fits/{fit}/posterior.nc"] = _decoded(posterior.attrs)
    return Fit(
        fit,
        posterior,
        read_product(folder / "diagnostics.h5", Diagnostics),
        read_product(folder / "likelihood.h5", LikelihoodTables),
        tuple(read_product(path, Events) for path in events.values()),
        products,
    )


def summary(study: Study) -> str:
    """Evidence and posterior table of each fit, and the path of the report, as text."""
    from skymix.report import summary_text

    root = results_folder(study)
    texts = [summary_text(name, _posterior(study, root / "fits" / name)) for name in study.fitted()]
    return "\n\n".join([*texts, f"Report: {root / 'report' / 'index.html'}"])


def _posterior(study: Study, folder: Path) -> "xr.DataTree":
    """Posterior of a fit's folder, made with the settings of this study."""
    posterior, likelihood = folder / "posterior.nc", folder / "likelihood.h5"
    tree = read_posterior(posterior)
    require_settings(posterior, stage_settings(study, "posterior"))
    require_settings(likelihood, stage_settings(study, "likelihood"))
    require_inputs(posterior, likelihood)
    return tree


def load(
    path: Path,
    observations: Sequence[str] = (),
    components: Sequence[str] = (),
    fits: Sequence[str] = (),
) -> Study:
    """Read a study and refuse observations, components and fits that it does not hold."""
    study = load_study(path)
    for kind, names, known in (
        ("observation", observations, study.observations),
        ("component", components, study.components),
        ("fit", fits, study.fitted()),
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
    text = json.dumps(any_study_from_mapping(settings).model_dump(mode="json"), indent=1)
    with atomic_path(output) as part:
        part.write_text(text, encoding="utf-8")


def _decoded(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        name: json.loads(value) if name in ("study", "inputs") else value
        for name, value in attributes.items()
    }

"""Simulation-based calibration of a fit, from the simulation of its events to its posterior."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from skymix import pipeline
from skymix.errors import DataError, StudyError
from skymix.store import LikelihoodTables, Provenance, file_sha256, read_product, write_product
from skymix.store.calibration import Calibration
from skymix.store.lineage import require_settings
from skymix.study import Study
from skymix.study.observation import SimulatedEvents
from skymix.study.stages import response_key, stage_settings, stream_seed


def calibrate(
    study: Study, fit: str, likelihood: Path, responses: Path, numbers: Sequence[int], output: Path
) -> Calibration:
    """Simulate surveys from the prior, fit each again, and write the ranks of the truths.

    Parameters
    ----------
    study : whose observations of the fit are all simulated
    fit : name of the fit
    likelihood : tables of the fit, for its priors and its expected counts
    responses : folder of the response tables
    numbers : of the surveys; each has a random stream of its own
    output : file to write

    Raises
    ------
    StudyError
        If an observation of the fit is recorded, or has an energy scale.
    """
    from skymix.diagnostics.calibration import posterior_rank
    from skymix.store.tables import counts_in, mixture_of

    if any(study.energy_scale(name) for name in study.fitted()[fit]):
        raise StudyError(
            "energy_scales: a calibration draws every parameter, but energies are simulated as the"
            " response has them; leave energy_scales out to calibrate the rest of the study"
        )
    tables = read_product(likelihood, LikelihoodTables)
    require_settings(likelihood, stage_settings(study, "likelihood"))
    mixture = mixture_of(tables)
    truth, ranks, events, log_evidence = [], [], [], []
    for number in numbers:
        seed = stream_seed(study, "calibration", f"{fit}/{number}")
        rng = np.random.default_rng(seed)
        theta = mixture.prior_transform(rng.random((1, mixture.ndim)))
        values = dict(zip(mixture.names, theta[0].tolist(), strict=True))
        counts = {
            name: dict(
                zip(mixture.tree.leaves, counts_in(tables, mixture, theta, o)[0], strict=True)
            )
            for o, name in enumerate(tables.observations)
        }
        survey = _realised(study, tables, values, counts, seed)
        with tempfile.TemporaryDirectory(dir=output.parent) as folder:
            posterior, drawn = _fitted(survey, fit, responses, Path(folder))
        truth.append(theta[0])
        draws = posterior["posterior"]
        ranks.append(
            [posterior_rank(values[n], np.ravel(np.asarray(draws[n])), rng) for n in mixture.names]
        )
        events.append(drawn)
        log_evidence.append(float(posterior.attrs.get("logz", np.nan)))
    calibration = Calibration(
        fit=fit,
        parameters=mixture.names,
        realisation=np.array(list(numbers), dtype=np.int64),
        truth=np.array(truth),
        rank=np.array(ranks),
        events=np.array(events, dtype=np.int64),
        log_evidence=np.array(log_evidence),
    )
    inputs = {likelihood.name: file_sha256(likelihood)}
    write_product(output, calibration, Provenance(stage_settings(study, "calibration"), inputs))
    return calibration


def _realised(
    study: Study,
    tables: LikelihoodTables,
    values: Mapping[str, float],
    counts: Mapping[str, Mapping[str, float]],
    seed: int,
) -> Study:
    """The study with other true parameters, other expected counts and another seed."""
    units = dict(zip(tables.parameters, tables.units, strict=True))
    parameters = {name: f"{values[name]!r} {unit}".strip() for name, unit in units.items()}
    observations = dict(study.observations)
    for name, wanted in counts.items():
        events = observations[name].events
        if not isinstance(events, SimulatedEvents):
            raise StudyError(
                f"observations.{name}.events: is recorded; a calibration simulates all events, so"
                " give the pointing and livetime of a simulated observation"
            )
        drawn = events.model_copy(
            update={"parameters": parameters, "counts": dict(wanted), "seed": None}
        )
        observations[name] = observations[name].model_copy(update={"events": drawn})
    sampler = study.sampler.model_copy(update={"seed": None})
    return study.model_copy(update={"observations": observations, "sampler": sampler, "seed": seed})


def _fitted(survey: Study, fit: str, responses: Path, folder: Path) -> tuple[xr.DataTree, int]:
    """Posterior of a simulated survey, and its number of events; files go to a folder."""
    events, marginals, number = folder / "events", folder / "marginals", 0
    for name in survey.fitted()[fit]:
        response = responses / f"{response_key(survey, name)}.h5"
        path = events / f"{name}.h5"
        number += pipeline.simulate_events(survey, name, response, path).number
        outputs = {leaf: marginals / name / f"{leaf}.h5" for leaf in survey.tree.leaves()}
        pipeline.marginalise_together(survey, name, path, response, outputs)
    likelihood = folder / "likelihood.h5"
    pipeline.gather_marginals(survey, fit, events, marginals, likelihood)
    return pipeline.draw_posterior(survey, likelihood), number


def gather_calibration(study: Study, fit: str, parts: Sequence[Path], output: Path) -> str:
    """Join the parts of a calibration, write product, figure and table; returns a summary."""
    from skymix.diagnostics.calibration import calibration_p_value, joined, rank_p_values
    from skymix.report.calibration import write_calibration

    settings = stage_settings(study, "calibration")
    for path in parts:
        require_settings(path, settings)
    calibration = joined([read_product(path, Calibration) for path in parts])
    if calibration.fit != fit:
        raise DataError(f"{parts[0]}: is of the fit '{calibration.fit}', not of '{fit}'")
    inputs = {path.name: file_sha256(path) for path in parts}
    p_values, p_value = rank_p_values(calibration), calibration_p_value(calibration)
    summary = write_calibration(calibration, p_values, p_value, output.parent)
    write_product(output, calibration, Provenance(settings, inputs))
    return summary

"""What each stage of the workflow depends on, and where its product lies."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skymix.study.components import CosmicRays
from skymix.study.load import AnyStudy
from skymix.study.model import Study, component_scans, parameter_name
from skymix.study.observation import PointLikeResponse, RecordedResponse
from skymix.study.parameters import Scan

# What the posterior of a simulated survey depends on; limits do on all but the sampler.
_CALIBRATED = (
    "seed",
    "region",
    "grids",
    "selection",
    "observations",
    "components",
    "tree",
    "marginalisation",
    "likelihood",
    "energy_scales",
    "sampler",
)
_COMPUTING = {"precision", "threads"}  # how a likelihood is computed, not what it is


def results_folder(study: AnyStudy) -> Path:
    """Folder of all products of a study."""
    return Path("results") / study.name


def response_key(study: Study, observation: str) -> str:
    """Name of the response table of an observation; observations with equal settings share it."""
    settings = _response_settings(study, observation)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    response = study.observations[observation].response
    stem = ""
    if isinstance(response, RecordedResponse | PointLikeResponse):
        stem = Path(response.path).name.split(".")[0]
    return f"{stem or response.kind}-{digest}"


def observation_of_key(study: Study, key: str) -> str:
    """First observation that uses a response table."""
    return next(name for name in study.observations if response_key(study, name) == key)


def stage_settings(study: Study, stage: str, **names: str) -> dict[str, Any]:
    """Just the settings that shape a stage's product, as JSON values.

    Parameters
    ----------
    stage : "events", "response", "marginals", "likelihood", "posterior", "diagnostics",
        "calibration", "limits", "report"
    names : observation, component as the stage needs them
    """
    if stage == "events":
        return _events_settings(study, names["observation"])
    if stage == "response":
        return _response_settings(study, names["observation"])
    if stage == "marginals":
        parts = _sections(study, "region", "selection", "marginalisation")
        parts["grids"] = study.grids_of(names["observation"]).model_dump(mode="json")
        scale = study.energy_scale(names["observation"])
        # The background is as it was measured.
        if scale and not isinstance(study.components[names["component"]], CosmicRays):
            settings = scale[1].model_dump(mode="json", exclude={"prior"})
            parts["energy_scale"] = {**settings, "name": scale[0]}
        # How much room there is changes nothing but the time.
        del parts["marginalisation"]["memory"]
        parts["component"] = _component_settings(study, names["component"], _without_prior)
        return parts
    if stage == "likelihood":
        scans = {f"{c}.{f}": s.model_dump(mode="json") for c, f, s in study.scans()}
        found = {**_sections(study, "tree"), "scans": scans}
        if study.energy_scales:
            found |= _sections(study, "energy_scales")
        return found | {"likelihood": study.likelihood.model_dump(mode="json", exclude=_COMPUTING)}
    if stage == "posterior":
        precision = study.likelihood.precision
        found = _sections(study, "sampler", "seed")
        found["sampler"].pop("checkpoint_every", None)
        return {**found, "precision": precision}
    if stage == "diagnostics":
        found = _sections(study, "region", "grids")
        own = {name: o.energy for name, o in study.observations.items() if o.energy}
        energies = {name: energy.model_dump(mode="json") for name, energy in own.items()}
        return {**found, "energies": energies} if own else found
    if stage == "calibration":
        return _sections(study, *_CALIBRATED)
    if stage == "limits":
        return _sections(study, *(s for s in _CALIBRATED if s != "sampler"), "limits")
    if stage == "report":
        return study.model_dump(mode="json")
    raise ValueError(f"'{stage}' is not a stage")


def _sections(study: Study, *names: str) -> dict[str, Any]:
    """Some sections of a study; to dump one of thousands of observations with them takes long."""
    return study.model_dump(mode="json", include=set(names))


def _events_settings(study: Study, observation: str) -> dict[str, Any]:
    events = study.observations[observation].events.model_dump(mode="json")
    parts = {**_sections(study, "region", "selection"), "events": events}
    if events["kind"] != "simulated":
        return {**parts, "energy": study.grids_of(observation).energy.model_dump(mode="json")}
    # The true value of a scanned parameter is in `events`; its nodes and prior do not matter.
    emitting = [name for name in study.components if events["counts"].get(name) != 0]
    components = {name: _component_settings(study, name, lambda name, _: name) for name in emitting}
    grids = study.grids_of(observation).model_dump(mode="json")
    return {**parts, "grids": grids, **_sections(study, "seed"), "components": components}


def _component_settings(
    study: Study, name: str, scan_as: Callable[[str, "Scan[float]"], Any]
) -> dict[str, Any]:
    """Settings of a component with each scan replaced by `scan_as(default name, scan)`."""
    settings = study.components[name].model_dump(mode="json")
    for field, scan in component_scans(study.components[name]):
        *parents, last = field.split(".")
        section = settings
        for parent in parents:
            section = section[parent]
        section[last] = scan_as(parameter_name(name, field, scan), scan)
    return settings


def _without_prior(name: str, scan: "Scan[float]") -> dict[str, Any]:
    return {**scan.model_dump(mode="json", exclude={"prior"}), "name": name}


def _response_settings(study: Study, observation: str) -> dict[str, Any]:
    return {
        "response": study.observations[observation].response.model_dump(mode="json"),
        "true_energy": study.grids.true_energy.model_dump(mode="json"),
    }


def sampler_seed(study: AnyStudy, fit: str) -> int:
    """Seed of the sampler of a fit: its own, or one that follows from the study's."""
    seed = study.sampler.seed
    return seed if seed is not None else stream_seed(study, "posterior", fit)


def stream_seed(study: AnyStudy, stage: str, observation: str) -> int:
    """Seed of a stage's random stream: a function of the study's seed and of the names only."""
    text = f"{study.seed}/{stage}/{observation}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")

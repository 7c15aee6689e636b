"""The study in words: what is analysed, with what, and how."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from skymix.report.inputs import Fit, ReportInput
from skymix.report.labels import readable, shortened, unit_text
from skymix.report.rounding import MINUS, round_number
from skymix.store import Events
from skymix.study import Beta, Dirichlet, Scan, Split, Study
from skymix.study.components import Position
from skymix.study.likelihood import ExtendedLikelihood
from skymix.study.mixture import LaplaceSampler, NutsSampler, Sampler
from skymix.study.model import component_scans, parameter_name
from skymix.study.observation import (
    Observation,
    OnOffEvents,
    PointLikeResponse,
    RecordedEvents,
    RecordedResponse,
    SimulatedEvents,
)

_NAMES = {
    "einasto": "Einasto",
    "nfw": "NFW",
    "gnfw": "generalised NFW",
    "burkert": "Burkert",
    "moore": "Moore",
    "pppc4dmid": "PPPC4DMID",
}
_EVERYWHERE = 180.0  # deg; an offset cut that cuts nothing


def duration(seconds: float) -> str:
    """Readable time: "12.3 s", "3 min 20 s", "5 h" or "1 h 5 min"."""
    if seconds < 60:
        return f"{round_number(seconds)} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def direction(position: Position) -> str:
    """Direction with the names of its coordinates."""
    lon, lat = (round_number(x, 7) for x in (position.lon, position.lat))
    if position.frame == "galactic":
        return f"l = {lon}°, b = {lat}° (Galactic)"
    return f"RA = {lon}°, Dec = {lat}° (ICRS)"


def facts(study: Study) -> list[tuple[str, str]]:
    """Settings of the analysis as a whole: name and text."""
    region, grids = study.region, study.grids
    data, true = grids.energy, grids.true_energy
    how = {
        "binned": "events of the same cell are merged",
        "unbinned": "every event at its own coordinates, tolerance"
        f" {round_number(study.marginalisation.tolerance)}",
    }[study.marginalisation.events]
    return [
        (
            "Region",
            f"{round_number(region.width)}° × {round_number(region.height)}°"
            f" about {direction(region.centre)}",
        ),
        ("Pixel", f"{round_number(grids.pixel)}°"),
        ("True pixel", f"{round_number(grids.pixel / grids.subdivision)}°"),
        ("Reconstructed energy", _energies(data.min, data.max, data.per_decade)),
        *_own_energies(study),
        ("True energy", _energies(true.min, true.max, true.per_decade)),
        ("Largest offset", _offset(study.selection.offset_max)),
        ("Marginalisation", how),
        ("Likelihood", _likelihood(study)),
        ("Sampler", sampler_text(study.sampler)),
        ("Seed of the study", str(study.seed)),
    ]


def _own_energies(study: Study) -> list[tuple[str, str]]:
    """Energies that differ from those of the study, with the observations that have them."""
    found: dict[str, list[str]] = {}
    for name, observation in study.observations.items():
        own = observation.energy
        if own is not None:
            text = _energies(own.min, own.max, own.per_decade)
            found.setdefault(text, []).append(name)
    return [(f"Energy of {shortened(names)}", text) for text, names in found.items()]


def _likelihood(study: Study) -> str:
    likelihood = study.likelihood
    if not isinstance(likelihood, ExtendedLikelihood):
        return "fractions of the tree"
    amplitudes = ", ".join(
        f"{readable(name)} {readable(prior.kind)}" for name, prior in likelihood.amplitudes.items()
    )
    nuisances = ", ".join(
        f"{readable(name)} {readable(nuisance.prior.kind)}"
        for name, nuisance in likelihood.nuisances.items()
    )
    scales = ", ".join(
        f"{readable(name)} {prior_text(scale.factor)}"
        for name, scale in study.energy_scales.items()
    )
    text = f"extended; factors on the amplitudes: {amplitudes}"
    text += f"; nuisances: {nuisances}" if nuisances else ""
    return text + (f"; energy scales: {scales}" if scales else "")


def sampler_text(sampler: Sampler) -> str:
    """A sampler and its settings in a line."""
    if isinstance(sampler, LaplaceSampler):
        return f"importance sampling from Laplace approximations, {sampler.draws} draws"
    if isinstance(sampler, NutsSampler):
        return (
            f"NUTS ({sampler.backend}), {sampler.chains} chains of {sampler.tune} tuning steps and"
            f" {sampler.draws} draws, target acceptance {round_number(sampler.target_accept)}"
        )
    return (
        f"{sampler.kind} sampling, {sampler.live_points} live points, stops at"
        f" Δ ln Z = {round_number(sampler.dlogz)}, bound {sampler.bound},"
        f" new points {sampler.sample}"
    )


def _offset(degrees: float) -> str:
    return "no cut" if degrees >= _EVERYWHERE else f"{round_number(degrees)}° from the pointing"


def _energies(low: float, high: float, per_decade: float) -> str:
    cells = round_number(per_decade)
    return f"{round_number(low)} to {round_number(high)} TeV, {cells} cells a decade"


def observation_rows(report: ReportInput) -> list[dict[str, Any]]:
    """Each observation of the fits: where it comes from, livetime, events, cuts."""
    events = {e.observation: e for fit in report.fits for e in fit.events}
    rows = []
    for name, settings in report.study.observations.items():
        if name not in events:
            continue
        rows.append(
            {
                "name": name,
                "source": _source(settings.events),
                "response": _response(settings),
                "livetime": duration(events[name].livetime),
                "events": events[name].number,
                "pointing": _pointing(events[name]),
                "cuts": _cuts(events[name].cuts),
            }
        )
    return rows


def _source(settings: SimulatedEvents | RecordedEvents | OnOffEvents) -> str:
    if isinstance(settings, OnOffEvents):
        return ", ".join(path.name for path in settings.paths)
    return settings.path.name if isinstance(settings, RecordedEvents) else "simulated"


def _response(settings: Observation) -> str:
    response = settings.response
    if not isinstance(response, RecordedResponse | PointLikeResponse):
        return "parametric telescope"
    events = settings.events
    together = isinstance(events, RecordedEvents) and events.path == response.path
    return "in the same file" if together else response.path.name


def _pointing(events: Events) -> str:
    return f"{events.pointing_lon:+.2f}°, {events.pointing_lat:+.2f}°".replace("-", MINUS)


def _cuts(text: str) -> str:
    found = yaml.safe_load(text) or {}
    return ", ".join(f"{readable(str(cut))} {number}" for cut, number in found.items())


def component_rows(study: Study) -> list[dict[str, Any]]:
    """Each component: kind, spectrum, what is scanned and with which prior."""
    rows = []
    for name in study.tree.leaves():
        component = study.components[name]
        sections = (getattr(component, part, None) for part in ("profile", "spectrum"))
        kinds = [section.kind for section in sections if section is not None]
        rows.append(
            {
                "name": name,
                "kind": readable(component.kind),
                "model": ", ".join(_NAMES.get(kind, readable(kind)) for kind in kinds) or "–",
                "scans": [
                    (_own_name(name, field, scan), prior_text(scan))
                    for field, scan in component_scans(component)
                ],
            }
        )
    return rows


def _own_name(component: str, field: str, scan: "Scan[float]") -> str:
    """Name of a parameter beside its component, or the name that it shares with others."""
    return readable(parameter_name(component, field, scan).removeprefix(f"{component}."))


def prior_text(scan: "Scan[float]") -> str:
    """Prior of a scanned parameter in words."""
    dumped = scan.model_dump(mode="json")
    unit = dumped["min"].partition(" ")[2] if isinstance(dumped["min"], str) else ""
    low, high = scan.prior_bounds()
    kind = "log_uniform" if scan.spacing == "log" else "uniform"
    text = (scan.prior.kind if scan.prior else kind).replace("_", "-")
    if scan.prior is not None and scan.prior.mean is not None and scan.prior.sd is not None:
        text += f" ({round_number(scan.prior.mean)} ± {round_number(scan.prior.sd)})"
    bounds = f"{round_number(low)} to {round_number(high)} {unit_text(unit)}".strip()
    return f"{text}, {bounds}, {scan.nodes} nodes"


def tree_rows(split: Split, depth: int = 0) -> list[tuple[int, str, str]]:
    """Nodes of the tree, parents first: depth, name, and the prior if it is a split."""
    rows = []
    for name, child in split.children.items():
        rows.append((depth, name, split_prior(child) if child is not None else ""))
        if child is not None:
            rows += tree_rows(child, depth + 1)
    return rows


def split_prior(split: Split) -> str:
    """Prior of the fractions of a split in words."""
    prior = split.prior
    if prior is None:
        return "flat Dirichlet prior"
    if isinstance(prior, Dirichlet):
        name, values = "Dirichlet", prior.dirichlet
    elif isinstance(prior, Beta):
        name, values = "beta", prior.beta
    else:
        name, values = "fixed at", prior.fixed
    return f"{name} ({', '.join(round_number(x) for x in values)})"


def settings_text(study: Study) -> str:
    """All settings, defaults included, as YAML."""
    return str(
        yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=88)
    )


def input_rows(fits: Sequence[Fit]) -> list[tuple[str, str]]:
    """Name and sha256 of every file that was read, once each, by name."""
    found = {
        (str(name), str(digest))
        for fit in fits
        for attributes in fit.products.values()
        for name, digest in attributes.get("inputs", {}).items()
    }
    return sorted(found)


def product_rows(fits: Sequence[Fit]) -> list[dict[str, str]]:
    """Every product of the fits, once."""
    rows: dict[str, dict[str, str]] = {}
    for fit in fits:
        for path, attributes in fit.products.items():
            rows.setdefault(path, product_row(path, attributes))
    return list(rows.values())


def product_row(path: str, attributes: Mapping[str, Any]) -> dict[str, str]:
    """A product: path, schema, version of skymix, commit, seed, time of its making."""
    # netCDF keeps a number as an array of one.
    seed, version = (
        str(v.item() if isinstance(v, np.ndarray) else v)
        for v in (attributes.get("seed", ""), attributes.get("schema_version", ""))
    )
    schema = f"{attributes.get('schema_name', '')} {version}"
    return {
        "path": path,
        "schema": schema.strip(),
        "version": str(attributes.get("skymix_version", "")),
        "commit": str(attributes.get("git_commit", ""))[:10] or "–",
        "seed": "–" if seed in ("", "-1") else seed,
        "created": str(attributes.get("created", "")),
        "checksum": str(attributes.get("checksum", ""))[:12] or "–",
    }

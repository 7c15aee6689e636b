"""The stage that gathers the marginals of a fit into one likelihood."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymix.pipeline.inputs import events_of, inputs_of
from skymix.pipeline.studies import parameter_priors
from skymix.store import Provenance, read_provenance
from skymix.store.lineage import require_settings, require_source
from skymix.study import Study
from skymix.study.observation import SimulatedEvents
from skymix.study.rates import rate_settings
from skymix.study.stages import response_key, stage_settings

if TYPE_CHECKING:
    from skymix.store.gather import Observed


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
        data = data_of(events_of(study, name, path), grid, binned)
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

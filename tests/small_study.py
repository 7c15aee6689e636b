"""Small studies of the Galactic Centre, their responses and their data spaces, for tests."""

import copy
import json
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.grids import coverage, data_grid, true_grid
from skymix.domains.gamma.observe import marginalise_component
from skymix.domains.gamma.response import tabulate_response
from skymix.store.events import Events
from skymix.store.marginals import Marginals
from skymix.store.response import Response
from skymix.study import Study, study_from_mapping
from skymix.study.default import DEFAULT_STUDY

RUN = "centre"
NOWHERE = Path("no-such-folder")
CENTRE = {"frame": "galactic", "lon": "0 deg", "lat": "0 deg"}
POINTING = {"frame": "galactic", "lon": "0.3 deg", "lat": "0.4 deg"}
CTA_SOUTH = {
    "kind": "dl3",
    "path": "gamma/cta-prod5-irfs/Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz",
}
ENERGY = {"min": "0.3 TeV", "max": "30 TeV", "per_decade": 5}
TRUE_ENERGY = {"min": "0.1 TeV", "max": "100 TeV", "per_decade": 10}


def small_study(
    component,
    counts="model",
    *,
    parameters=None,
    width=2.0,
    pixel=0.2,
    subdivision=2,
    energy=None,
    true_energy=None,
    offset_max="1.3 deg",
    response=None,
    events="unbinned",
    tolerance=1e-5,
) -> Study:
    """Study of the component `it` beside cosmic rays, of which nothing is simulated."""
    return study_from_mapping(
        {
            "name": "small",
            "region": {"centre": CENTRE, "width": f"{width} deg", "height": f"{width} deg"},
            "grids": {
                "energy": energy or ENERGY,
                "true_energy": true_energy or TRUE_ENERGY,
                "pixel": f"{pixel} deg",
                "subdivision": subdivision,
            },
            "selection": {"offset_max": offset_max},
            "observations": {
                RUN: {
                    "events": {
                        "kind": "simulated",
                        "pointing": POINTING,
                        "livetime": "1 h",
                        "counts": {"it": counts, "other": 0},
                        "parameters": parameters or {},
                    },
                    "response": response or {"kind": "parametric"},
                }
            },
            "components": {"it": component, "other": {"kind": "cosmic_rays"}},
            "tree": {"children": {"it": None, "other": None}},
            "marginalisation": {"events": events, "tolerance": tolerance},
        }
    )


def default_component(name):
    """Settings of a component of the default study."""
    return copy.deepcopy(DEFAULT_STUDY["components"][name])


def response_of(study: Study, data: Path = NOWHERE) -> Response:
    """Response of the study's only observation."""
    (observation,) = study.observations.values()
    axis = true_grid(study.grids, study.region).energy
    return tabulate_response(observation.response, axis, data)[0]


def event_list(pointing, energy, lon, lat) -> Events:
    """Recorded events of one hour at any coordinates."""
    n = energy.size
    return Events(
        event_id=np.arange(n),
        multiplicity=np.ones(n, dtype=np.int64),
        energy=energy,
        lon=lon,
        lat=lat,
        true_component=np.full(n, -1),
        true_energy=np.full(n, np.nan),
        true_lon=np.full(n, np.nan),
        true_lat=np.full(n, np.nan),
        observation=RUN,
        pointing_lon=pointing[0],
        pointing_lat=pointing[1],
        livetime=3600.0,
        ontime=3600.0,
        cuts=json.dumps({}),
        components=(),
        expected_counts=np.empty(0),
        truth=json.dumps({}),
    )


def at_all_cells(
    study: Study, response: Response, pointing, data: Path = NOWHERE
) -> tuple[Marginals, FloatArray]:
    """Binned densities of `it` with an event in every cell, and the observed volumes of the cells.

    Volumes are (nenergy, nlat, nlon) TeV sr; of a cell on the edge, the part that is selected.
    """
    binned = study.model_copy(
        update={"marginalisation": study.marginalisation.model_copy(update={"events": "binned"})}
    )
    grid = data_grid(study.grids, study.region)
    lon, lat = grid.sky.mesh()
    energy = np.repeat(grid.energy.centres, grid.sky.size)
    lon, lat = (np.tile(a.ravel(), grid.energy.size) for a in (lon, lat))
    events = event_list(pointing, energy, lon, lat)
    marginals = marginalise_component(binned, RUN, "it", events, response, data)
    return marginals, grid.volume * coverage(grid.sky, pointing, study.selection.offset_max)

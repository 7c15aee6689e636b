"""All reconstructed cells that an observation covers, with what was counted in them."""

import json
from dataclasses import replace

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.data import data_of
from skymix.domains.gamma.grids import coverage, data_grid
from skymix.store.events import Events
from skymix.study import Study


def every_cell(study: Study, events: Events) -> tuple[Events, FloatArray]:
    """Counts in all cells of an observation, also those without events, and the cells' sizes.

    Returns
    -------
    a row for each cell, the observed events its multiplicity; and the part of each cell that the
    selection leaves, (ncell,) TeV sr
    """
    grid = data_grid(study.grids_of(events.observation), study.region)
    pointing = events.pointing_lon, events.pointing_lat
    part = coverage(grid.sky, pointing, study.selection.offset_max)
    size = (np.ones(grid.shape) * grid.volume * part).ravel()
    data = data_of(events, grid, binned=True)
    counts = np.bincount(data.cell, data.multiplicity, minlength=size.size).astype(np.int64)
    cell = np.flatnonzero((size > 0) | (counts > 0))
    energy, lon, lat = grid.centre(cell)
    unknown = np.full(cell.size, np.nan)
    cells = replace(
        events,
        event_id=cell,
        multiplicity=counts[cell],
        energy=energy,
        lon=lon,
        lat=lat,
        true_component=np.full(cell.size, -1),
        true_energy=unknown,
        true_lon=unknown,
        true_lat=unknown,
        components=(),
        expected_counts=np.empty(0),
        truth=json.dumps({}),
    )
    return cells, size[cell]

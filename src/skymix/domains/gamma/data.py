"""The data that a likelihood sees: single events, or reconstructed cells with their counts."""

from dataclasses import dataclass

import numpy as np

from skymix.axes import FloatArray, Grid, IntArray
from skymix.errors import DataError
from skymix.store.events import EVENTS_AT_ONCE, Events

# Neighbours are within these, in dex and deg, ...
_NEAR_ENERGY, _NEAR_ANGLE = 0.1, 0.5
# ... and within so many data, so that columns of a table are put back in order within the cache.
_AMONG = 64 * EVENTS_AT_ONCE


@dataclass(frozen=True, eq=False)
class Data:
    """Coordinates and multiplicities of the data of one observation.

    Parameters
    ----------
    energy, lon, lat : (ndatum,) TeV, deg; of a cell, its centre
    multiplicity : (ndatum,) number of events
    cell : (ndatum,) flat index of the reconstructed cell (energy, lat, lon)
    event_datum : (nevent,) datum of each event
    """

    energy: FloatArray
    lon: FloatArray
    lat: FloatArray
    multiplicity: FloatArray
    cell: IntArray
    event_datum: IntArray

    @property
    def size(self) -> int:
        """Number of data."""
        return int(self.energy.size)

    def part(self, which: slice | IntArray) -> "Data":
        """Some of the data; without the look-up from events to data."""
        return Data(
            self.energy[which],
            self.lon[which],
            self.lat[which],
            self.multiplicity[which],
            self.cell[which],
            np.empty(0, dtype=np.int64),
        )

    def by_neighbours(self) -> IntArray:
        """An order in which data of like energy, and of these data close on the sky, follow."""
        lon, lat = np.floor(self.lon / _NEAR_ANGLE), np.floor(self.lat / _NEAR_ANGLE)
        energy = np.floor(np.log10(self.energy) / _NEAR_ENERGY)
        starts = range(0, max(self.size, 1), _AMONG)
        parts = [slice(start, start + _AMONG) for start in starts]
        orders = [np.lexsort((lon[at], lat[at], energy[at])) for at in parts]
        return np.concatenate([o + start for o, start in zip(orders, starts, strict=True)])


def to_original_order(table: FloatArray, order: IntArray) -> None:
    """Put columns that are in the order of `Data.by_neighbours` back, in place."""
    for start in range(0, order.size, _AMONG):
        place = np.argsort(order[start : start + _AMONG])
        moved = np.empty(place.size)
        for row in table[:, start : start + _AMONG]:
            moved[:] = row  # in one go, and into the cache
            np.take(moved, place, out=row, mode="clip")


def data_of(events: Events, grid: Grid, binned: bool) -> Data:
    """Data of an event list on the study's reconstructed grid.

    Raises
    ------
    DataError
        If an event lies outside the grid: the list was selected for another study; or if counts
        in cells are wanted unbinned.
    """
    cell = grid.cell(events.energy, events.lon, events.lat)
    if np.any(cell < 0):
        row = int(np.flatnonzero(cell < 0)[0])
        raise DataError(
            f"observation {events.observation}: event row {row} lies outside the data grid;"
            " make the event file again with this study"
        )
    if not binned:
        if np.any(events.multiplicity != 1):
            raise DataError(
                f"observation {events.observation}: its rows are counts in cells, which have no"
                " coordinates of their own; set marginalisation.events to binned"
            )
        index = np.arange(events.size)
        ones = np.ones(events.size)
        return Data(events.energy, events.lon, events.lat, ones, cell, index)
    # As `np.unique` does, without its sort.
    seen = np.bincount(cell) > 0
    occupied, datum = np.flatnonzero(seen), (np.cumsum(seen) - 1)[cell]
    counts = np.bincount(datum, weights=events.multiplicity).astype(np.float64)
    return Data(*grid.centre(occupied), counts, occupied, datum)

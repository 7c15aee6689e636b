"""Event lists: reconstructed coordinates in the region frame, exposure, and truth if simulated.

A row is an event, or, where counts in cells were simulated, all events of a component in a cell.
"""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from skymix.axes import FloatArray, IntArray
from skymix.store.base import array, scalar

# Events whose densities are computed in one go.
EVENTS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Events:
    """Selected events of one observation.

    A row of multiplicity n is n events of one component at the centre of a reconstructed cell.
    Longitudes and latitudes are offsets from the region's centre (rotated sky frame). Truth
    columns hold -1 or NaN for recorded events and NaN for background, which has no true energy, and
    for counts.
    """

    schema_name: ClassVar[str] = "events"
    schema_version: ClassVar[int] = 3

    event_id: IntArray = array("", ("event",), "i8")
    multiplicity: IntArray = array("", ("event",), "i8")
    energy: FloatArray = array("TeV", ("event",))
    lon: FloatArray = array("deg", ("event",))
    lat: FloatArray = array("deg", ("event",))
    true_component: IntArray = array("", ("event",), "i8")
    true_energy: FloatArray = array("TeV", ("event",), finite=False)
    true_lon: FloatArray = array("deg", ("event",), finite=False)
    true_lat: FloatArray = array("deg", ("event",), finite=False)
    observation: str = scalar()
    pointing_lon: float = scalar("deg")
    pointing_lat: float = scalar("deg")
    livetime: float = scalar("s")  # corrected for dead time: what photons are seen in
    ontime: float = scalar("s")  # not corrected: what a background rate (GADF) counts in
    cuts: str = scalar()  # JSON: number of events read, and removed by each cut, in order
    components: tuple[str, ...] = scalar()  # names that true_component counts
    expected_counts: FloatArray = array("", ("component",))  # simulated only, else empty
    truth: str = scalar()  # JSON: true value of each parameter, by name; "{}" if recorded
    # Events beside the on region of a point-like observation, and the ratio of the two exposures.
    off_energy: FloatArray = array("TeV", ("off_event",), optional=True)
    on_over_off: float = scalar(default=0.0)

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.energy.size)

    @property
    def number(self) -> int:
        """Number of events: each row counts as often as its multiplicity."""
        return int(self.multiplicity.sum())

    def chunk(self, number: int, total: int) -> "Events":
        """One of some parts of the events, counted from 1, in their order; nearly equal ones.

        Large parts are of whole blocks, so that their densities are those of the whole to the last
        bit: the rounding of a matrix product depends on its shape.
        """
        block = EVENTS_AT_ONCE if self.size // total >= EVENTS_AT_ONCE else 1
        first = (number - 1) * self.size // total // block * block
        last = number * self.size // total // block * block if number < total else self.size
        columns = {
            f.name: getattr(self, f.name)[first:last]
            for f in dataclasses.fields(self)
            if f.metadata.get("dims") == ("event",)
        }
        return dataclasses.replace(self, **columns)

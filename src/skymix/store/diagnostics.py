"""What the posterior says of the data: membership, predicted counts, insertion ranks."""

from dataclasses import dataclass
from typing import ClassVar

from skymix.axes import FloatArray, IntArray
from skymix.store.base import array, scalar


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """Posterior predictions of one fit.

    `predicted_map` and `predicted_spectrum` are posterior means of the counts of each leaf;
    the `_band` arrays are 16, 50 and 84 % quantiles of the total.
    """

    schema_name: ClassVar[str] = "diagnostics"
    schema_version: ClassVar[int] = 2

    leaves: tuple[str, ...] = scalar()
    observations: tuple[str, ...] = scalar()
    membership: FloatArray = array("", ("event", "leaf"))  # posterior mean probability
    membership_sd: FloatArray = array("", ("event", "leaf"))
    event_id: IntArray = array("", ("event",), "i8")
    event_multiplicity: IntArray = array("", ("event",), "i8")  # above 1 for counts in cells
    event_observation: IntArray = array("", ("event",), "i8")
    event_energy: FloatArray = array("TeV", ("event",))
    event_lon: FloatArray = array("deg", ("event",))
    event_lat: FloatArray = array("deg", ("event",))
    energy_edges: FloatArray = array("TeV", ("energy_edge",))
    lon_edges: FloatArray = array("deg", ("lon_edge",))
    lat_edges: FloatArray = array("deg", ("lat_edge",))
    counts_map: FloatArray = array("", ("lat", "lon"))
    counts_spectrum: FloatArray = array("", ("energy",))
    predicted_map: FloatArray = array("", ("leaf", "lat", "lon"))
    predicted_spectrum: FloatArray = array("", ("leaf", "energy"))
    predicted_spectrum_band: FloatArray = array("", ("quantile", "energy"))
    observed_counts: FloatArray = array("", ("observation",))
    predicted_counts: FloatArray = array("", ("observation", "leaf"))
    predicted_counts_band: FloatArray = array("", ("quantile", "observation"))
    insertion_rank: IntArray = array("", ("iteration",), "i8")  # of each new point
    insertion_p_value: float = scalar()  # Kolmogorov-Smirnov test of uniform ranks
    live_points: int = scalar()

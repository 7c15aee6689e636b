"""What the posterior says of the data: membership, predicted counts, insertion ranks."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.store.base import array, scalar


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """Posterior predictions of one fit.

    `predicted_map` and `predicted_spectrum` are posterior means of the counts of each leaf;
    the `_band` arrays are 16, 50 and 84 % quantiles of the total.

    Observations with the same reconstructed energies form a data space, if they have a map as well
    or all have none. The spectra of the spaces stand one after the other: `space_cells` says how
    many energy cells each has, and `energy_edges` holds one edge more of each. Maps are those of
    the observations that have one; they share the sky.
    """

    schema_name: ClassVar[str] = "diagnostics"
    schema_version: ClassVar[int] = 3

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
    observation_space: IntArray = array("", ("observation",), "i8")
    space_cells: IntArray = array("", ("space",), "i8")
    space_mapped: IntArray = array("", ("space",), "i8")  # 1 where observations have maps, else 0
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

    @property
    def spectra(self) -> "tuple[SpaceSpectrum, ...]":
        """Spectra of each data space."""
        stops = np.cumsum(self.space_cells).tolist()
        found = []
        for space, (start, stop) in enumerate(zip([0, *stops], stops, strict=False)):
            cells = slice(start, stop)
            here = np.flatnonzero(self.observation_space == space)
            found.append(
                SpaceSpectrum(
                    tuple(self.observations[o] for o in here),
                    self.energy_edges[start + space : stop + space + 1],
                    self.counts_spectrum[cells],
                    self.predicted_spectrum[:, cells],
                    self.predicted_spectrum_band[:, cells],
                )
            )
        return tuple(found)


@dataclass(frozen=True, eq=False)
class SpaceSpectrum:
    """Counts spectrum of the observations of one data space.

    Parameters
    ----------
    observations : their names
    edges : (nenergy + 1,) TeV
    counts : (nenergy,)
    predicted : (nleaf, nenergy) posterior means
    band : (3, nenergy) quantiles of the total
    """

    observations: tuple[str, ...]
    edges: FloatArray
    counts: FloatArray
    predicted: FloatArray
    band: FloatArray

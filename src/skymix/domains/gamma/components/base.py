"""What every source component offers: its parameters and its flux as a sum of factorised terms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from skymix.axes import FloatArray, Grid
from skymix.domains.gamma.geometry import RegionFrame


@dataclass(frozen=True, eq=False)
class Parameter:
    """A scanned parameter of a component.

    Parameters
    ----------
    name : name in the posterior
    field : dotted name in the component's settings
    unit : unit of the nodes, astropy notation, empty if it has none
    nodes : (n,) increasing values
    spacing : "linear" or "log"
    shapes_sky : whether the morphology depends on it (then each node costs a spatial integral)
    """

    name: str
    field: str
    unit: str
    nodes: FloatArray
    spacing: str
    shapes_sky: bool = False


@dataclass(frozen=True, eq=False)
class GridMorphology:
    """Intensity averaged over each cell of the true sky.

    Parameters
    ----------
    intensity : (nlat, nlon), or (nenergy, nlat, nlon) if the morphology changes with energy
    """

    intensity: FloatArray


@dataclass(frozen=True, eq=False)
class PointMorphology:
    """Directions with weights: a point source, or the quadrature nodes of a small extended one.

    Parameters
    ----------
    lon, lat : (npoint,) deg, region frame; may lie outside the grid
    weight : (npoint,) integral of the intensity at each direction
    """

    lon: FloatArray
    lat: FloatArray
    weight: FloatArray


@dataclass(frozen=True, eq=False)
class Term:
    """A part of a component's flux that is morphology times spectrum.

    Parameters
    ----------
    morphology : where the photons come from; its unit times the spectrum's is m-2 s-1 (sr-1)
    spectrum : (nrow, nenergy) integral of the spectrum over each true energy cell, a row for each
        set of spectral parameter values
    """

    morphology: GridMorphology | PointMorphology
    spectrum: FloatArray


class Source(Protocol):
    """A component whose photons come from the sky and pass through the response."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Scanned parameters, in the order of the settings."""

    def terms(
        self,
        grid: Grid,
        frame: RegionFrame,
        sky: Mapping[str, float],
        rows: Mapping[str, FloatArray],
    ) -> tuple[Term, ...]:
        """Flux on a true grid.

        Parameters
        ----------
        grid : true energies and directions
        frame : the study's region frame
        sky : value of each scanned parameter that shapes the morphology, by name
        rows : (nrow,) values of each other scanned parameter, by name; empty for one row
        """

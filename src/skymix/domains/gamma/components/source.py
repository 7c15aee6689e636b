"""Point sources and Gaussian sources."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skymix.axes import FloatArray, Grid, SkyGrid, separation
from skymix.domains.gamma.components.base import (
    GridMorphology,
    Parameter,
    PointMorphology,
    Term,
)
from skymix.domains.gamma.components.parameters import Values, scanned_parameters
from skymix.domains.gamma.components.radial import radial_cell_means
from skymix.domains.gamma.components.spectra import integrated_spectrum
from skymix.domains.gamma.geometry import RegionFrame
from skymix.errors import StudyError
from skymix.study.components import GaussianSource, PointSource

# A Gaussian of at least this many true pixels is well described by cell means.
_RESOLVED = 2.0
REACH = 3.0
"""How far a Gaussian source is taken to reach, in standard deviations."""


@dataclass(frozen=True, eq=False)
class RoundSource:
    """A point source or a Gaussian source as a `Source`.

    Parameters
    ----------
    component : name of the component
    settings : its settings
    """

    component: str
    settings: PointSource | GaussianSource

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Scanned parameters of the spectrum."""
        return scanned_parameters(self.component, self.settings)

    def terms(
        self,
        grid: Grid,
        frame: RegionFrame,
        sky: Mapping[str, float],
        rows: Mapping[str, FloatArray],
    ) -> tuple[Term, ...]:
        """One term: morphology integrating to 1, spectrum in m-2 s-1.

        Raises
        ------
        StudyError
            If the source does not reach the true sky.
        """
        lon, lat = frame.from_position(self.settings.position)
        sigma = self.settings.sigma if isinstance(self.settings, GaussianSource) else 0.0
        gap = distance_to(grid.sky, lon, lat) - REACH * sigma
        if gap > 0:
            raise StudyError(
                f"components.{self.component}.position: the source is {gap:.3g} deg outside the"
                " true sky; move it, widen the region or leave it out"
            )
        values = Values(self.component, sky, rows)
        spectrum = integrated_spectrum(self.settings.spectrum, grid.energy.edges, values)
        return (Term(gaussian_morphology(grid.sky, lon, lat, sigma), spectrum),)


def distance_to(sky: SkyGrid, lon: float, lat: float) -> float:
    """Angle between a direction and the nearest point of a sky grid, deg; zero inside."""
    nearest_lon = np.clip(lon, sky.lon_edges[0], sky.lon_edges[-1])
    nearest_lat = np.clip(lat, sky.lat_edges[0], sky.lat_edges[-1])
    return float(separation(np.asarray(lon), np.asarray(lat), nearest_lon, nearest_lat))


def gaussian_morphology(
    sky: SkyGrid, lon: float, lat: float, sigma: float
) -> GridMorphology | PointMorphology:
    """Morphology of a round Gaussian that integrates to 1 over the whole sky.

    From two true pixels on it is the mean over each cell; a narrower one, whose profile a pixel
    would smear, is a set of directions with weights.

    Parameters
    ----------
    sky : true sky grid
    lon, lat : centre, deg, region frame
    sigma : standard deviation along each axis, deg; zero for a point
    """
    if sigma == 0:
        return PointMorphology(np.array([lon]), np.array([lat]), np.ones(1))
    pixel = max(float(np.diff(sky.lon_edges).max()), float(np.diff(sky.lat_edges).max()))
    profile = SphericalGaussian(np.radians(sigma))
    if sigma >= _RESOLVED * pixel * (1 - 1e-9):
        return GridMorphology(radial_cell_means(sky, lon, lat, profile, boundary_within=0.0))
    return profile.directions(lon, lat, rings=4 + int(np.ceil(10 * sigma / pixel)))


@dataclass(frozen=True)
class SphericalGaussian:
    """I(psi) ~ exp(-v), v = (1 - cos psi) / (2 (1 - cos sigma)): a Gaussian on the sphere.

    In v it is an exponential: the content within psi is 1 - exp(-v).

    Parameters
    ----------
    sigma : standard deviation along each axis, rad
    """

    sigma: float

    @property
    def _a(self) -> float:
        return float(2 * np.sin(0.5 * self.sigma) ** 2)

    def _v(self, psi: FloatArray) -> FloatArray:
        return np.asarray(np.sin(0.5 * psi) ** 2 / self._a)

    @property
    def _total(self) -> float:
        return float(-np.expm1(-1 / self._a))

    def intensity(self, psi: FloatArray) -> FloatArray:
        """Intensity that integrates to 1 over the sphere, sr-1."""
        return np.exp(-self._v(psi)) / (4 * np.pi * self._a * self._total)

    def cumulative(self, psi: FloatArray) -> FloatArray:
        """Content within psi over 2 pi."""
        return np.asarray(-np.expm1(-self._v(psi)) / (2 * np.pi * self._total))

    def directions(self, lon: float, lat: float, rings: int) -> PointMorphology:
        """Directions and weights (adding up to 1) that stand for the profile.

        Gauss-Laguerre in v times equal angles on each ring; integrals of polynomials of degree
        below 2 `rings` in the plane are exact.

        Parameters
        ----------
        lon, lat : centre, deg
        rings : number of rings, with 2 `rings` directions each
        """
        v, weight = np.polynomial.laguerre.laggauss(rings)
        psi = 2 * np.arcsin(np.sqrt(np.minimum(v * self._a, 1.0)))
        turn = np.arange(2 * rings) + 0.5 * (np.arange(rings)[:, None] % 2)
        bearing = turn * np.pi / rings
        out_lat, out_lon = _offset(np.radians(lat), psi[:, None], bearing)
        weights = np.repeat(weight / (2 * rings), 2 * rings)
        return PointMorphology(
            lon + np.degrees(out_lon).ravel(), np.degrees(out_lat).ravel(), weights / weights.sum()
        )


def _offset(lat: float, psi: FloatArray, bearing: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Latitude, and longitude from the centre's, at an angle and a bearing; rad."""
    sine = np.sin(lat) * np.cos(psi) + np.cos(lat) * np.sin(psi) * np.cos(bearing)
    new_lat = np.arcsin(np.clip(sine, -1.0, 1.0))
    d_lon = np.arctan2(
        np.sin(bearing) * np.sin(psi) * np.cos(lat), np.cos(psi) - np.sin(lat) * sine
    )
    return new_lat, d_lon

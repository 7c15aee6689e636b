"""Diffuse emission from a FITS cube of intensity in energy, longitude and latitude."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from scipy.special import exprel

from skymix.axes import FloatArray, Grid, IntArray, SkyGrid
from skymix.domains.gamma.components.base import GridMorphology, Parameter, Term
from skymix.domains.gamma.components.files import data_path, read_hdus
from skymix.domains.gamma.components.radial import cell_means
from skymix.domains.gamma.geometry import RegionFrame
from skymix.errors import DataError, StudyError
from skymix.study.components import DiffuseTemplate
from skymix.study.files import DIFFUSE_CUBE

_ENERGY_COLUMNS = ("ENERGY", "ENERGY_TRUE")


@dataclass(frozen=True, eq=False)
class IntensityCube:
    """Intensity on planes of energy and pixels of the sky.

    Parameters
    ----------
    energy : (nplane,) rising, TeV
    intensity : (nplane, ny, nx) TeV-1 m-2 s-1 sr-1
    wcs : celestial coordinates of the pixels
    path : file it was read from, for messages
    """

    energy: FloatArray
    intensity: FloatArray
    wcs: WCS
    path: Path

    @classmethod
    def read(cls, path: Path) -> "IntensityCube":
        """Read a cube whose unit is in BUNIT and whose energies are in a table.

        Raises
        ------
        DataError
            If the file is incomplete, has no such table, a wrong unit, a negative value or NaN.
        """
        hdus = read_hdus(path)
        _, header, data = hdus[0]
        if data is None or data.ndim != 3:
            raise DataError(f"{path}: its first HDU is not a cube of energy, latitude, longitude")
        factor = _intensity_unit(header.get("BUNIT", ""), path)
        energy = _energies(hdus[1:], path)
        if energy.size != data.shape[0]:
            raise DataError(f"{path}: {data.shape[0]} planes but {energy.size} energies")
        intensity = np.asarray(data, dtype=np.float64) * factor
        if not np.all(np.isfinite(intensity)) or np.any(intensity < 0):
            raise DataError(f"{path}: holds a negative intensity or NaN; fetch it again")
        return cls(energy, intensity, WCS(header).celestial, path)

    @property
    def pixel(self) -> float:
        """Size of the smaller side of a pixel, deg."""
        return float(np.min(np.abs(self.wcs.wcs.get_cdelt())))

    def at(self, coord: SkyCoord) -> FloatArray:
        """Intensity by bilinear interpolation between pixel centres, (nplane, *coord.shape).

        Beyond the outermost centres, in the outer half of a border pixel, it is the border's.

        Raises
        ------
        StudyError
            If a direction is outside the cube.
        """
        _, ny, nx = self.intensity.shape
        x, y = (np.asarray(p, dtype=np.float64) for p in self.wcs.world_to_pixel(coord))
        turn = 360 / abs(self.wcs.wcs.get_cdelt()[0])
        whole_turn = abs(nx - turn) < 0.5
        if whole_turn:
            x = np.mod(x + 0.5, turn) - 0.5
        # A grid that ends on the cube's edge is inside, whatever rounding says.
        inside = (np.abs(x - 0.5 * (nx - 1)) <= 0.5 * nx + 1e-6) | whole_turn
        inside &= np.abs(y - 0.5 * (ny - 1)) <= 0.5 * ny + 1e-6
        if not np.all(inside):
            raise StudyError(self._outside(coord[~inside]))
        j0, j1, fx = _neighbours(x, nx, whole_turn)
        i0, i1, fy = _neighbours(y, ny, False)
        cube = self.intensity
        south = (1 - fx) * cube[:, i0, j0] + fx * cube[:, i0, j1]
        north = (1 - fx) * cube[:, i1, j0] + fx * cube[:, i1, j1]
        return np.asarray((1 - fy) * south + fy * north)

    def _outside(self, coord: SkyCoord) -> str:
        first = coord.ravel()[0].galactic
        _, ny, nx = self.intensity.shape
        corners = self.wcs.pixel_to_world([-0.5, nx - 0.5], [-0.5, ny - 0.5]).galactic
        l_range = np.sort(corners.l.wrap_at(180 * u.deg).deg)
        b_range = np.sort(corners.b.deg)
        return (
            f"the true sky reaches l = {first.l.wrap_at(180 * u.deg).deg:.2f},"
            f" b = {first.b.deg:.2f} deg, outside {self.path.name}, which covers"
            f" l {l_range[0]:.2f} to {l_range[1]:.2f} and b {b_range[0]:.2f} to {b_range[1]:.2f}"
            " deg; make the region or grids.margin smaller or give a larger cube"
        )


@dataclass(frozen=True, eq=False)
class DiffuseSource:
    """An intensity cube as a `Source` without parameters.

    Parameters
    ----------
    component : name of the component
    settings : its settings
    cube : the intensity
    """

    component: str
    settings: DiffuseTemplate
    cube: IntensityCube

    @classmethod
    def from_settings(
        cls, component: str, settings: DiffuseTemplate, data: Path
    ) -> "DiffuseSource":
        """Source with its cube read from the data folder."""
        path = data_path(data, settings.path, DIFFUSE_CUBE, f"components.{component}.path")
        return cls(component, settings, IntensityCube.read(path))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """None: the component is fixed."""
        return ()

    def terms(
        self,
        grid: Grid,
        frame: RegionFrame,
        sky: Mapping[str, float],
        rows: Mapping[str, FloatArray],
    ) -> tuple[Term, ...]:
        """One term: morphology by energy integrating to 1 (sr-1), spectrum in m-2 s-1.

        Raises
        ------
        StudyError
            If the true grid leaves the cube, on the sky or below its first energy.
        """
        edges = grid.energy.edges
        first = self.cube.energy[0]
        if edges[0] < first * (1 - 1e-9):
            raise StudyError(
                f"components.{self.component}: the true energies begin at {edges[0]:g} TeV, below"
                f" the first plane of {self.cube.path.name} at {first:g} TeV;"
                " raise grids.true_energy.min"
            )
        planes = self._planes(grid.sky, frame)
        if self.settings.above_last_energy == "power_law":
            planes_energy, planes = _continued(self.cube.energy, planes, edges[-1])
        else:
            planes_energy = self.cube.energy
        content = cell_integrals(planes_energy, planes, edges)
        spectrum = np.sum(content * grid.sky.solid_angle, axis=(1, 2))
        lit = np.where(spectrum > 0, spectrum, 1.0)
        return (Term(GridMorphology(content / lit[:, None, None]), spectrum[None, :]),)

    def _planes(self, sky: SkyGrid, frame: RegionFrame) -> FloatArray:
        """Mean of each plane over each cell of the sky, (nplane, nlat, nlon)."""
        pixel = max(float(np.diff(sky.lon_edges).max()), float(np.diff(sky.lat_edges).max()))
        order = max(1, int(np.ceil(2 * pixel / self.cube.pixel)))
        try:
            return cell_means(
                sky, lambda lon, lat: self.cube.at(frame.to_sky(lon, lat, "galactic")), order
            )
        except StudyError as error:
            raise StudyError(f"components.{self.component}: {error}") from None


def cell_integrals(energy: FloatArray, planes: FloatArray, edges: FloatArray) -> FloatArray:
    """Integral over energy cells of an intensity given on planes.

    Between two planes the intensity is a power law, or linear in energy if one of them is zero;
    beyond the last plane it is zero.

    Parameters
    ----------
    energy : (nplane,) TeV
    planes : (nplane, ...)
    edges : (ncell + 1,) TeV, not below the first plane

    Returns
    -------
    (ncell, ...), unit of the planes times TeV
    """
    content = np.zeros((edges.size - 1, *planes.shape[1:]))
    for k in range(energy.size - 1):
        low, high = energy[k], energy[k + 1]
        first = max(int(np.searchsorted(edges, low, side="right")) - 1, 0)
        last = min(int(np.searchsorted(edges, high, side="left")), edges.size - 1)
        f_low, f_high = planes[k], planes[k + 1]
        positive = (f_low > 0) & (f_high > 0)
        safe_low, safe_high = np.where(positive, f_low, 1.0), np.where(positive, f_high, 1.0)
        slope = 1 + np.log(safe_high / safe_low) / np.log(high / low)
        for cell in range(first, last):
            a, b = max(edges[cell], low), min(edges[cell + 1], high)
            width = np.log(b / a)
            power = safe_low * low * np.exp(slope * np.log(a / low)) * width * exprel(slope * width)
            if not positive.all():
                middle = (0.5 * (a + b) - low) / (high - low)
                linear = (b - a) * ((1 - middle) * f_low + middle * f_high)
                power = np.where(positive, power, linear)
            content[cell] += power
    return content


def _continued(energy: FloatArray, planes: FloatArray, end: float) -> tuple[FloatArray, FloatArray]:
    """Planes with one more at `end`, on the power law through the last two."""
    if end <= energy[-1]:
        return energy, planes
    before, last = planes[-2], planes[-1]
    known = (before > 0) & (last > 0)
    ratio = np.where(known, last, 1.0) / np.where(known, before, 1.0)
    slope = np.log(ratio) / np.log(energy[-1] / energy[-2])
    beyond = np.where(known, last * (end / energy[-1]) ** slope, 0.0)
    return np.append(energy, end), np.concatenate([planes, beyond[None]])


def _neighbours(
    at: FloatArray, size: int, whole_turn: bool
) -> tuple[IntArray, IntArray, FloatArray]:
    """Indices of the pixel centres on both sides and the distance from the first."""
    if not whole_turn:
        at = np.clip(at, 0, size - 1)
    lower = np.floor(at).astype(np.int64)
    upper = lower + 1
    fraction = at - lower
    if whole_turn:
        return lower % size, upper % size, fraction
    return lower, np.minimum(upper, size - 1), fraction


def _intensity_unit(text: Any, path: Path) -> float:
    wanted = u.Unit("TeV-1 m-2 s-1 sr-1")
    try:
        unit = u.Unit(str(text))
        if not unit.is_equivalent(wanted):
            unit = unit / u.photon
        return float(unit.to(wanted))
    except (ValueError, u.UnitConversionError):
        raise DataError(
            f"{path}: its unit (BUNIT '{text}') is not an intensity; write one such as"
            " 'MeV-1 cm-2 s-1 sr-1' into the header"
        ) from None


def _energies(hdus: list[tuple[str, Any, Any]], path: Path) -> FloatArray:
    for _, _, table in hdus:
        for column in getattr(table, "columns", ()):
            if column.name.upper() in _ENERGY_COLUMNS:
                try:
                    factor = u.Unit(str(column.unit)).to(u.TeV)
                except (ValueError, u.UnitConversionError):
                    raise DataError(
                        f"{path}: the unit '{column.unit}' of its energies is no energy"
                    ) from None
                energy = np.asarray(table[column.name], dtype=np.float64) * factor
                if energy.size < 2 or energy[0] <= 0 or not np.all(np.diff(energy) > 0):
                    raise DataError(f"{path}: its energies are not positive and rising")
                return np.asarray(energy)
    raise DataError(
        f"{path}: no table with a column ENERGY or ENERGY_TRUE gives the energies of its planes"
    )

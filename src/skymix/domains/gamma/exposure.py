"""One observation as the marginaliser sees it: response, pointing, livetime and grids together."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skymix.axes import EnergyAxis, FloatArray, Grid, IntArray, SkyGrid, separation
from skymix.domains.gamma.dispersion import dispersion_matrix
from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.psf_table import PSFTable
from skymix.store.response import Response


@dataclass(frozen=True, eq=False)
class Exposure:
    """What turns a flux into expected counts.

    Parameters
    ----------
    response : its true energies are those of `true`
    pointing : (lon, lat) deg, region frame
    livetime, ontime : s, with and without the correction for dead time
    frame : region frame
    true, data : true and reconstructed grids
    coverage : (nlat, nlon) share of each data pixel that the selection keeps
    """

    response: Response
    pointing: tuple[float, float]
    livetime: float
    ontime: float
    frame: RegionFrame
    true: Grid
    data: Grid
    coverage: FloatArray

    @cached_property
    def psf(self) -> PSFTable:
        """The PSF as the operators need it."""
        return PSFTable.from_nodes(self.response.psf, self.response.rad)

    @cached_property
    def map_nodes(self) -> tuple[IntArray, FloatArray]:
        """`nodes` of the pixels of the true sky."""
        return self.nodes(*self.true.sky.mesh())

    @cached_property
    def map_acceptance(self) -> FloatArray:
        """`acceptance` of the pixels of the true sky."""
        return self.acceptance(*self.true.sky.mesh())

    @cached_property
    def dispersion(self) -> FloatArray:
        """Probability of each reconstructed cell, (nreco, noffset, ntrue)."""
        return np.ascontiguousarray(
            dispersion_matrix(self.response, self.data.energy).transpose(1, 0, 2)
        )

    def nodes(self, lon: FloatArray, lat: FloatArray) -> tuple[IntArray, FloatArray]:
        """Lower offset node of each direction, and its distance to the next in units of theirs."""
        offsets = self.response.offset
        offset = self.offset(lon, lat)
        node = np.clip(np.searchsorted(offsets, offset, side="right") - 1, 0, offsets.size - 2)
        fraction = (offset - offsets[node]) / (offsets[node + 1] - offsets[node])
        return node.astype(np.int64), np.clip(fraction, 0.0, 1.0)

    def offset(self, lon: FloatArray, lat: FloatArray) -> FloatArray:
        """Angle to the pointing, deg."""
        return separation(lon, lat, self.pointing[0], self.pointing[1])

    def acceptance(self, lon: FloatArray, lat: FloatArray) -> FloatArray:
        """Effective area times livetime, (..., nenergy) m2 s; zero beyond the last offset node."""
        node, fraction = self.nodes(lon, lat)
        area = self.response.effective_area
        f = fraction[..., None]
        inside = self.offset(lon, lat) <= self.response.offset[-1]
        value = (1 - f) * area[node] + f * area[node + 1]
        return np.where(inside[..., None], value * self.livetime, 0.0)

    @cached_property
    def coarser(self) -> "Exposure":
        """The same with true cells of double width in each direction, as far as they divide."""
        energy, response = _merge_energies(self.true.energy, self.response)
        sky = self.true.sky
        pixels = round(
            (self.data.sky.lon_edges[1] - self.data.sky.lon_edges[0])
            / (sky.lon_edges[1] - sky.lon_edges[0])
        )
        if pixels % 2 == 0:
            sky = SkyGrid(sky.lon_edges[::2], sky.lat_edges[::2])
        return replace(self, response=response, true=Grid(energy, sky))


def make_exposure(
    pointing: tuple[float, float],
    livetime: float,
    ontime: float,
    response: Response,
    frame: RegionFrame,
    true: Grid,
    data: Grid,
    coverage: FloatArray,
) -> Exposure:
    """Exposure of an observation; a response with a single offset node counts at all offsets."""
    if response.offset.size == 1:
        response = replace(
            response,
            offset=np.array([0.0, 180.0]),
            effective_area=np.repeat(response.effective_area, 2, axis=0),
            edisp=np.repeat(response.edisp, 2, axis=0),
            psf=np.repeat(response.psf, 2, axis=0),
        )
    return Exposure(response, pointing, livetime, ontime, frame, true, data, coverage)


def _merge_energies(axis: EnergyAxis, response: Response) -> tuple[EnergyAxis, Response]:
    """Axis and response with neighbouring true energy cells merged; an odd last cell stays."""
    edges = np.append(axis.edges[:-1:2], axis.edges[-1])

    def mean(values: FloatArray, along: int) -> FloatArray:
        before = (slice(None),) * along
        out = values[*before, ::2].copy()
        both = out[*before, : axis.size // 2]
        both += values[*before, 1::2]
        both *= 0.5
        return out

    merged = replace(
        response,
        energy_true_edges=edges,
        effective_area=mean(response.effective_area, 1),
        edisp=mean(response.edisp, 1),
        psf=mean(response.psf, 2),
    )
    return EnergyAxis(edges), merged

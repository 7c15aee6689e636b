"""Mean over sky cells of an intensity that is round about a direction.

Far from the centre the mean is a tensor Gauss-Legendre quadrature. Near it, where the intensity
may be singular or have an edge, the integral over a cell is turned into one along its boundary:
with G(psi) the integral of I sin(psi) from 0 to psi and phi the angle about the centre,

    integral of I over a cell = contour integral of G dphi,    dphi = c . (p x dp) / sin^2(psi)

(p the direction, c the centre, unit vectors), which holds whether or not the centre lies inside
and needs I to be no more than integrable.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from skymix.axes import FloatArray, IntArray, SkyGrid, separation

_ORDER = 4
# Cells whose centre is nearer than this many cells are done along the boundary.
_NEAR = 4.0
_PANELS = 14
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
# Closest approach that the boundary's substitution resolves, as a share of an edge.
_FLOOR = 1e-10


class RadialIntensity(Protocol):
    """An intensity that depends on the angle psi (rad) from a centre only."""

    def intensity(self, psi: FloatArray) -> FloatArray:
        """I(psi), per sr."""

    def cumulative(self, psi: FloatArray) -> FloatArray:
        """Integral of I(psi') sin(psi') from 0 to psi."""


def radial_cell_means(
    sky: SkyGrid,
    lon: float,
    lat: float,
    radial: RadialIntensity,
    boundary_within: float | None = None,
) -> FloatArray:
    """Mean intensity over every cell.

    Parameters
    ----------
    sky : the grid
    lon, lat : centre, deg, region frame
    radial : intensity about the centre
    boundary_within : distance in deg up to which cells are integrated along their boundary; if
        absent a few cells, for an intensity that is smooth but for its centre

    Returns
    -------
    (nlat, nlon), unit of the intensity
    """
    size = max(float(np.diff(sky.lon_edges).max()), float(np.diff(sky.lat_edges).max()))
    within = _NEAR * size if boundary_within is None else boundary_within + size
    centre_lon, centre_lat = sky.mesh()
    c_lon, c_lat = np.asarray(lon), np.asarray(lat)
    near = separation(centre_lon, centre_lat, c_lon, c_lat) < within

    def at(lon_at: FloatArray, lat_at: FloatArray) -> FloatArray:
        psi = np.radians(separation(lon_at, lat_at, c_lon, c_lat))
        # A quadrature node on the centre belongs to a near cell, whose value is replaced.
        return radial.intensity(np.maximum(psi, 1e-12))

    means = cell_means(sky, at)
    rows, columns = np.nonzero(near)
    if rows.size:
        means[rows, columns] = _boundary_means(sky, lon, lat, radial, rows, columns)
    return means


def cell_means(
    sky: SkyGrid,
    intensity: Callable[[FloatArray, FloatArray], FloatArray],
    order: int = _ORDER,
) -> FloatArray:
    """Mean over every cell by Gauss-Legendre in longitude and the sine of latitude.

    Parameters
    ----------
    sky : the grid
    intensity : function of (lon, lat) arrays in deg, region frame, elementwise; it may put further
        axes in front
    order : nodes along each side of a cell

    Returns
    -------
    (..., nlat, nlon)
    """
    x, w = np.polynomial.legendre.leggauss(order)
    lon_nodes = sky.lon[None, :] + 0.5 * np.diff(sky.lon_edges)[None, :] * x[:, None]
    sine = np.sin(np.radians(sky.lat_edges))
    sine_nodes = 0.5 * (sine[1:] + sine[:-1]) + 0.5 * np.diff(sine) * x[:, None]
    lat_nodes = np.degrees(np.arcsin(sine_nodes))
    mean: FloatArray | float = 0.0
    for i in range(order):
        # A row of nodes at once: a change of frame takes its time for each call.
        lat, lon = np.meshgrid(lat_nodes[i], lon_nodes.ravel(), indexing="ij")
        values = intensity(lon, lat)
        values = values.reshape(*values.shape[:-1], order, -1)
        mean = mean + 0.25 * w[i] * np.einsum("j,...jx->...x", w, values)
    return np.asarray(mean)


def _boundary_means(
    sky: SkyGrid,
    lon: float,
    lat: float,
    radial: RadialIntensity,
    rows: IntArray,
    columns: IntArray,
) -> FloatArray:
    """Means of the given cells by the contour integral, (ncell,)."""
    west, east = sky.lon_edges[columns], sky.lon_edges[columns + 1]
    south, north = sky.lat_edges[rows], sky.lat_edges[rows + 1]

    def parallel(at: FloatArray) -> FloatArray:
        return _edge(radial, lon, lat, west, east, at, along_lon=True)

    def meridian(at: FloatArray) -> FloatArray:
        return _edge(radial, lon, lat, south, north, at, along_lon=False)

    integral = parallel(south) + meridian(east) - parallel(north) - meridian(west)
    return np.asarray(np.maximum(integral, 0.0) / sky.solid_angle[rows, columns])


def _edge(
    radial: RadialIntensity,
    lon: float,
    lat: float,
    start: FloatArray,
    stop: FloatArray,
    across: FloatArray,
    along_lon: bool,
) -> FloatArray:
    """Integral of G dphi along parallels (along_lon) or meridians, deg in, (nedge,) out.

    The substitution t = t0 + d sinh(u) about the point of closest approach spreads the nodes
    evenly in the log of the distance from the centre.
    """
    c_lon, c_lat = np.radians(lon), np.radians(lat)
    a, b, fixed = np.radians(start), np.radians(stop), np.radians(across)
    if along_lon:
        nearest, distance = c_lon, np.abs(np.sin(c_lat - fixed)) / np.cos(fixed)
    else:
        nearest, distance = c_lat, np.abs(np.cos(c_lat) * np.sin(fixed - c_lon))
    distance = np.maximum(distance, _FLOOR * (b - a))
    low, high = np.arcsinh((a - nearest) / distance), np.arcsinh((b - nearest) / distance)
    panel = (np.arange(_PANELS)[:, None] + 0.5 * (1 + _NODES)).ravel() / _PANELS
    weight = np.tile(0.5 * _WEIGHTS / _PANELS, _PANELS)
    u = low[:, None] + (high - low)[:, None] * panel
    # Offsets from the centre keep their digits; differences of coordinates would not.
    offset = distance[:, None] * np.sinh(u)
    speed = distance[:, None] * np.cosh(u) * (high - low)[:, None] * weight
    if along_lon:
        d_lon, d_lat = offset, (fixed - c_lat)[:, None]
        other = fixed[:, None]
        moment = np.cos(other) * (
            -np.sin(d_lat) + 2 * np.sin(other) * np.cos(c_lat) * np.sin(0.5 * d_lon) ** 2
        )
    else:
        d_lon, d_lat = (fixed - c_lon)[:, None], offset
        other = c_lat + offset
        moment = np.cos(c_lat) * np.sin(d_lon)
    half = np.sin(0.5 * d_lat) ** 2 + np.cos(c_lat) * np.cos(other) * np.sin(0.5 * d_lon) ** 2
    psi = 2 * np.arcsin(np.sqrt(np.clip(half, 1e-300, 1.0)))
    turned = radial.cumulative(psi) / np.sin(psi) ** 2 * moment * speed
    return np.asarray(turned.sum(axis=1))

"""The PSF operator against dense sums over sub-pixels."""

import numpy as np
import pytest
from tests.synthetic import gaussian_psf

from skymix.axes import SkyGrid, separation
from skymix.domains.gamma.psf_events import FEW_POINTS
from skymix.domains.gamma.psf_operator import grid_to_pixels, points_to_pixels
from skymix.domains.gamma.psf_table import PSFTable, difference_rules, psf_containment

SIGMAS = np.array([0.03, 0.1, 0.3])  # narrower than, like, and wider than a pixel


@pytest.fixture(scope="module")
def table() -> PSFTable:
    rad = 1.6 * np.linspace(0, 1, 1500) ** 2
    psf = np.stack([gaussian_psf(rad, s) for s in SIGMAS], axis=1)[None]
    return PSFTable.from_nodes(np.repeat(psf, 2, axis=0), rad)


@pytest.fixture(scope="module")
def skies() -> tuple[SkyGrid, SkyGrid]:
    data = SkyGrid(np.linspace(-0.6, 0.6, 7), np.linspace(19.4, 20.6, 7))
    true = SkyGrid(np.linspace(-0.8, 0.8, 9), np.linspace(19.2, 20.8, 9)).split(2)
    return true, data


def subpixels(sky: SkyGrid, cell: tuple[int, int], n: int):
    """Directions and solid angles of the n x n parts of a cell."""
    i, j = cell
    part = SkyGrid(sky.lon_edges[j : j + 2], sky.lat_edges[i : i + 2]).split(n)
    lon, lat = part.mesh()
    return lon.ravel(), lat.ravel(), part.solid_angle.ravel()


def mean_psf(true: SkyGrid, a, data: SkyGrid, b, sigma: float, n: int = 24) -> float:
    """Integral over a data cell of the PSF averaged over a true cell."""
    lon1, lat1, w1 = subpixels(true, a, n)
    lon2, lat2, w2 = subpixels(data, b, n)
    r = separation(lon1[:, None], lat1[:, None], lon2[None], lat2[None])
    return float((w1 / w1.sum()) @ gaussian_psf(r, sigma) @ w2)


def test_rules_integrate_the_difference_of_two_uniforms() -> None:
    nodes, weights, sizes = difference_rules(0.1, 0.2)
    a, b = np.meshgrid(np.linspace(-0.05, 0.05, 401), np.linspace(-0.1, 0.1, 401))
    for level in range(4):
        x, w = nodes[level, : sizes[level]], weights[level, : sizes[level]]
        assert w.sum() == pytest.approx(1)
        assert (w * x**2).sum() == pytest.approx(((a - b) ** 2).mean(), rel=0.01)
    assert (weights[3] * np.cos(9 * nodes[3])).sum() == pytest.approx(
        np.sinc(0.9 / 2 / np.pi) * np.sinc(1.8 / 2 / np.pi), rel=1e-8
    )


@pytest.mark.parametrize("cells", [((8, 8), (3, 3)), ((8, 8), (2, 4)), ((9, 6), (1, 4))])
def test_grid_to_pixels_is_the_mean_over_both_cells(table, skies, cells) -> None:
    true, data = skies
    source = np.zeros((*true.shape, SIGMAS.size))
    source[cells[0]] = 1.0
    zero = np.zeros(true.shape)
    sums = grid_to_pixels(source, true, data, zero.astype(np.int64), zero, table)
    found = sums.sum(axis=2)[cells[1]]
    expected = [mean_psf(true, cells[0], data, cells[1], s) for s in SIGMAS]
    np.testing.assert_allclose(found, expected, rtol=4e-3, atol=2e-5)


def test_grid_to_pixels_keeps_all_that_falls_inside(table, skies) -> None:
    true, data = skies
    source = np.zeros((*true.shape, SIGMAS.size))
    source[8, 8, 0] = 1.0
    zero = np.zeros(true.shape)
    sums = grid_to_pixels(source, true, data, zero.astype(np.int64), zero, table)
    assert sums[..., 0].sum() == pytest.approx(1, abs=2e-4)


def test_offset_nodes_share_by_their_interpolation_weight(table, skies) -> None:
    true, data = skies
    source = np.zeros((*true.shape, SIGMAS.size))
    source[8, 8] = 2.0
    node, fraction = np.zeros(true.shape, dtype=np.int64), np.full(true.shape, 0.25)
    sums = grid_to_pixels(source, true, data, node, fraction, table)
    np.testing.assert_allclose(sums[:, :, 1], sums[:, :, 0] / 3, rtol=1e-12)


@pytest.mark.parametrize("npoint", [1, FEW_POINTS])
def test_points_to_pixels_is_the_mean_over_the_data_cell(table, skies, npoint) -> None:
    """By quadratures if there is one point, with tables of means if there are many."""
    _, data = skies
    lon, lat, zero = np.full(npoint, 0.07), np.full(npoint, 20.03), np.zeros(npoint)
    content = np.full((npoint, SIGMAS.size), 1 / npoint)
    node = zero.astype(np.int64)
    sums = points_to_pixels(lon, lat, content, data, node, zero, table).sum(axis=2)
    for cell in [(3, 3), (3, 2), (2, 4)]:
        lon2, lat2, w2 = subpixels(data, cell, 300)
        r = separation(lon[0], lat[0], lon2, lat2)
        expected = [gaussian_psf(r, s) @ w2 for s in SIGMAS]
        np.testing.assert_allclose(sums[cell], expected, rtol=4e-3, atol=2e-5)


@pytest.mark.parametrize("lat", [0.0, 60.0, 80.0])
def test_tables_of_means_hold_at_any_latitude(lat) -> None:
    """Pixels of 1 deg and a PSF of 1 deg: many points at one place against one, by quadrature.

    Twice the accuracy of the tables, as meridians bend over pixels of 1 deg; a direction on a flat
    chart would err by more.
    """
    rad = 10 * np.linspace(0, 1, 1001) ** 2
    table = PSFTable.from_nodes(gaussian_psf(rad[:, None], np.array([1.0]))[None].repeat(2, 0), rad)
    height = np.linspace(lat - 4, lat + 4, 9)
    data = SkyGrid(np.linspace(-4, 4, 9), height)
    one, many = (
        points_to_pixels(
            np.full(n, 0.3),
            np.full(n, lat + 0.4),
            np.full((n, 1), 1 / n),
            data,
            np.zeros(n, dtype=np.int64),
            np.zeros(n),
            table,
        ).sum(axis=2)
        / data.solid_angle[..., None]
        for n in (1, FEW_POINTS)
    )
    np.testing.assert_allclose(many, one, rtol=1e-3, atol=1e-5 * one.max())


def test_containment_of_a_gaussian(table) -> None:
    rad = 1.6 * np.linspace(0, 1, 1500) ** 2
    contained = psf_containment(table.values, rad)
    expected = 1 - np.exp(-0.5 * (rad[:, None] / SIGMAS) ** 2)
    np.testing.assert_allclose(contained[0], expected, atol=2e-4)


def test_radial_nodes_must_be_equally_spaced_in_their_root() -> None:
    with pytest.raises(ValueError, match=r"equally spaced in sqrt\(rad\)"):
        PSFTable.from_nodes(np.ones((1, 5, 1)), np.linspace(0, 1, 5))


def test_symmetric_grids_give_what_each_row_alone_gives(table) -> None:
    """Rows of opposite latitude share a kernel; a hair of asymmetry turns that off."""
    edges = np.linspace(-0.6, 0.6, 7)
    source = np.random.default_rng(1).random((16, 16, SIGMAS.size))
    node, fraction = np.zeros((16, 16), dtype=np.int64), np.full((16, 16), 0.3)
    found = []
    for shift in (0.0, 1e-9):
        data = SkyGrid(edges, edges + shift)
        true = SkyGrid(np.linspace(-0.8, 0.8, 9), np.linspace(-0.8, 0.8, 9) + shift).split(2)
        found.append(grid_to_pixels(source, true, data, node, fraction, table))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6, atol=1e-12)

"""Marginals against sums over the whole fine grid, and their normalisation."""

import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import norm, qmc
from tests.synthetic import OFFSETS, RESOLUTION, gaussian_psf, psf_width, small_exposure
from threadpoolctl import threadpool_limits

from skymix.axes import separation
from skymix.domains.gamma.background import marginalise_background, rate
from skymix.domains.gamma.components.base import GridMorphology, Parameter, PointMorphology, Term
from skymix.domains.gamma.data import Data
from skymix.domains.gamma.marginalise import Rows, densities, marginalise

INDICES = np.linspace(1.5, 3.5, 5)
SCRAMBLES = 8


@dataclass(frozen=True)
class Blob:
    """Gaussian patch of scanned width with a power law of scanned index."""

    widths: tuple[float, ...] = (0.3,)
    point: bool = False

    @property
    def parameters(self):
        index = Parameter("index", "index", "", INDICES, "linear")
        if len(self.widths) == 1:
            return (index,)
        width = Parameter("width", "width", "deg", np.array(self.widths), "linear", True)
        return (width, index)

    def terms(self, grid, frame, sky, rows):
        index = rows["index"][:, None]
        edges = grid.energy.edges
        spectrum = 1e-8 * (edges[:-1] ** (1 - index) - edges[1:] ** (1 - index)) / (index - 1)
        if self.point:
            return (Term(PointMorphology(np.array([0.1]), np.array([0.2]), np.ones(1)), spectrum),)
        lon, lat = grid.sky.mesh()
        width = sky.get("width", self.widths[0])
        return (Term(GridMorphology(gaussian_psf(np.hypot(lon - 0.1, lat), width)), spectrum),)


def some_data(exposure, n=6, binned=False) -> Data:
    rng = np.random.default_rng(5)
    energy = np.exp(rng.uniform(np.log(1.05), np.log(9.5), n))
    lon, lat = rng.uniform(-0.7, 0.7, (2, n))
    cell = exposure.data.cell(energy, lon, lat)
    return Data(energy, lon, lat, np.ones(n), cell, np.arange(n))


def offset_weights(offset):
    """Linear interpolation weights of every offset node."""
    return np.stack([np.interp(offset, OFFSETS, row) for row in np.eye(OFFSETS.size)])


def brute_force(exposure, source, row, energy, lon, lat, sub=6):
    """Counts TeV-1 sr-1 at one direction and energy: a sum over all true cells, `sub`-sampled."""
    grid = exposure.true
    (term,) = source.terms(grid, exposure.frame, {"width": row.get("width", 0.3)}, row)
    true_lon, true_lat = grid.sky.mesh()
    if isinstance(term.morphology, PointMorphology):
        content = term.morphology.weight
        true_lon, true_lat = term.morphology.lon, term.morphology.lat
        near_lon, near_lat = true_lon[:, None], true_lat[:, None]
    else:
        content = (term.morphology.intensity * grid.sky.solid_angle).ravel()
        pixel = np.diff(grid.sky.lon_edges)[0]
        shift = (np.arange(sub) + 0.5) / sub * pixel - pixel / 2
        dy, dx = np.meshgrid(shift, shift, indexing="ij")
        near_lon = true_lon.reshape(-1, 1) + dx.ravel()
        near_lat = true_lat.reshape(-1, 1) + dy.ravel()
    offset = separation(true_lon.ravel(), true_lat.ravel(), *np.float64(exposure.pointing))
    weight = offset_weights(offset)
    r = separation(near_lon, near_lat, np.float64(lon), np.float64(lat))
    centres, edges = grid.energy.centres, np.log(grid.energy.edges)
    area = weight.T @ exposure.response.effective_area * exposure.livetime
    total = 0.0
    for e in range(centres.size):
        psf = [gaussian_psf(r, psf_width(o, centres[e])).mean(axis=1) for o in OFFSETS]
        z = (np.log(energy) - edges[e : e + 2]) / RESOLUTION
        dispersion = (norm.cdf(z[0]) - norm.cdf(z[1])) / (edges[e + 1] - edges[e]) / energy
        seen = (weight * np.array(psf)).sum(axis=0) * weight.sum(axis=0)
        total += term.spectrum[0, e] * dispersion * (content * area[:, e] * seen).sum()
    return total


@pytest.mark.parametrize("point", [False, True])
def test_unbinned_density_is_the_sum_over_the_whole_grid(point) -> None:
    exposure, source = small_exposure(), Blob(point=point)
    data = some_data(exposure)
    rows = Rows.grid(source.parameters)
    found = densities(source, exposure, data, rows, False, 1e-9)
    for row in (0, 4):
        expected = [
            brute_force(exposure, source, {"index": INDICES[[row]]}, *at)
            for at in zip(data.energy, data.lon, data.lat, strict=True)
        ]
        # Far in the tail of a point source the radial table's linear interpolation shows.
        np.testing.assert_allclose(
            found.at_data[row], expected, rtol=2e-3, atol=1e-6 * max(expected)
        )


def test_what_the_scan_leaves_out_is_within_its_bound() -> None:
    exposure, source = small_exposure(), Blob()
    data = some_data(exposure, 20)
    rows = Rows.grid(source.parameters)
    whole = densities(source, exposure, data, rows, False, 1e-12)
    for tolerance in (1e-2, 1e-4, 1e-6):
        part = densities(source, exposure, data, rows, False, tolerance)
        missing = whole.at_data - part.at_data
        # A narrower window also has a coarser quadrature.
        rounding = 2e-5 * whole.at_data
        assert np.all(missing >= -rounding)
        assert np.all(missing <= part.neglected + whole.neglected + rounding)
        share = np.max(missing / whole.at_data)
        assert share < 10 * tolerance + 2e-5


def test_binned_counts_are_the_mean_of_the_unbinned_density_over_the_cell() -> None:
    exposure, source = small_exposure(), Blob()
    rows = Rows.grid(source.parameters)
    one = some_data(exposure, 3)
    binned = densities(source, exposure, one, rows, True, 1e-9).at_data
    for n in range(one.size):
        e, sky = divmod(int(one.cell[n]), exposure.data.sky.size)
        i, j = divmod(sky, exposure.data.sky.shape[1])
        grid = exposure.data
        x, w = np.polynomial.legendre.leggauss(5)
        x, w = (x + 1) / 2, w / 2
        at = np.array([(a, b, c) for a in x for b in x for c in x])
        weight = np.array([a * b * c for a in w for b in w for c in w])
        energy = grid.energy.edges[e] + grid.energy.widths[e] * at[:, 0]
        lon = grid.sky.lon_edges[j] + np.diff(grid.sky.lon_edges)[j] * at[:, 1]
        lat = grid.sky.lat_edges[i] + np.diff(grid.sky.lat_edges)[i] * at[:, 2]
        points = Data(energy, lon, lat, np.ones(125), np.zeros(125, np.int64), np.arange(125))
        mean = densities(source, exposure, points, rows, False, 1e-9).at_data @ weight
        np.testing.assert_allclose(binned[:, n], mean, rtol=1e-3)


def uniform_points(exposure, log2_points=10) -> tuple[Data, np.ndarray]:
    """Scrambled Sobol points, uniform in ln E and on the rectangle, and dE dOmega of each."""
    u = np.concatenate(
        [
            qmc.Sobol(3, rng=np.random.default_rng(seed)).random_base2(log2_points)
            for seed in range(SCRAMBLES)
        ]
    )
    energy, lon, lat = 10 ** u[:, 0], 2 * u[:, 1] - 1, 2 * u[:, 2] - 1
    # The rectangle is small: the cosine of its latitudes is 1 to 1e-4.
    weight = energy * np.log(10) * exposure.data.sky.solid_angle.sum()
    n = energy.size
    cell = exposure.data.cell(energy, lon, lat)
    return Data(energy, lon, lat, np.ones(n), cell, np.arange(n)), weight


def integral(values) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each row and its standard error, from the scatter of the scrambles."""
    means = values.reshape(values.shape[0], SCRAMBLES, -1).mean(axis=2)
    return means.mean(axis=1), means.std(axis=1, ddof=1) / np.sqrt(SCRAMBLES)


@pytest.mark.parametrize(
    ("source", "log2_points"), [(Blob(), 9), (Blob(point=True), 13), (Blob(widths=(0.1, 0.3)), 11)]
)
def test_density_integrates_to_one_over_the_data_space(source, log2_points) -> None:
    """Quasi-Monte-Carlo integral of the unbinned density over the data space, at every row."""
    exposure = small_exposure()
    data, weight = uniform_points(exposure, log2_points)
    result = marginalise(source, exposure, data, False, 1e-5, "blob", "run")
    mean, error = integral(result.density * weight)
    assert error.max() < 0.015
    np.testing.assert_array_less(np.abs(mean - 1), 1e-3 + 4 * error)


def test_maps_and_spectra_are_shares_of_all_counts() -> None:
    exposure = replace(small_exposure(), coverage=np.tri(10, 10))
    result = marginalise(Blob(), exposure, some_data(exposure), True, 1e-6, "blob", "run")
    np.testing.assert_allclose(result.counts_map.sum(axis=(1, 2)), 1)
    np.testing.assert_allclose(result.counts_spectrum.sum(axis=1), 1)
    assert np.all(result.counts_map[:, exposure.coverage == 0] == 0)
    assert result.binning_error < 0.01
    assert 0 < result.interpolation_error < 0.1


def interpolation_error(source, exposure, data, binned):
    """Mean difference halfway between nodes over the mean density, of the worst midpoint."""
    found = []
    for rows in (Rows.grid(source.parameters), Rows.midpoints(source.parameters)):
        both = densities(source, exposure, data, rows, binned, 1e-6)
        found.append(both.at_data / both.expected[:, None])
    nodes, between = found
    widths, indices = 3, INDICES.size
    grid = nodes.reshape(widths, indices, -1)
    halfway = [0.5 * (grid[1:] + grid[:-1]), 0.5 * (grid[:, 1:] + grid[:, :-1])]
    halfway = np.concatenate([h.reshape(-1, data.size) for h in halfway])
    change = np.abs(halfway - between) @ data.multiplicity
    return (change / (between @ data.multiplicity)).max()


@pytest.mark.parametrize("binned", [True, False])
def test_interpolation_error_is_that_of_a_sample(binned) -> None:
    """Of all data if they are few, and else of some of their events."""
    exposure, source = small_exposure(), Blob(widths=(0.1, 0.2, 0.3))
    for size, error in ((40, 1e-6), (3000, 0.2)):
        data = some_data(exposure, size)
        # Most events are in the first data, as in the cells of a bright source.
        data = replace(data, multiplicity=np.where(np.arange(size) < size / 3, 9.0, 1.0))
        found = marginalise(source, exposure, data, binned, 1e-6, "blob", "run")
        expected = interpolation_error(source, exposure, data, binned)
        assert found.interpolation_error == pytest.approx(expected, rel=error)


def test_background_integrates_to_one_and_is_not_smeared() -> None:
    exposure = small_exposure()
    data, weight = uniform_points(exposure)
    result = marginalise_background(exposure, data, False, 2.0, "cr", "run")
    mean, error = integral(result.density * weight)
    assert error.max() < 1e-3
    np.testing.assert_array_less(np.abs(mean - 1), 1e-3 + 4 * error)
    at = rate(exposure, np.array([2.0]), np.array([0.3]), np.array([-0.2]))
    assert at[0] == pytest.approx(30.0 * 2.0**-2.7 * 3600, rel=2e-3)


@pytest.mark.parametrize("binned", [True, False])
def test_component_without_counts_has_no_density(binned) -> None:
    exposure = small_exposure()
    dark = replace(exposure, livetime=0.0, ontime=0.0)
    found = marginalise(Blob(), dark, some_data(exposure), binned, 1e-6, "blob", "run")
    for name in ("density", "expected_counts", "counts_map", "counts_spectrum", "truncation"):
        assert not getattr(found, name).any()
    assert found.binning_error == found.interpolation_error == 0


@pytest.mark.parametrize("binned", [True, False])
def test_memory_and_threads_change_nothing_beyond_rounding(binned) -> None:
    exposure, source = small_exposure(), Blob(widths=(0.1, 0.2, 0.3))
    data = some_data(exposure, 40)
    whole = marginalise(source, exposure, data, binned, 1e-6, "blob", "run")
    with threadpool_limits(1):
        parts = marginalise(source, exposure, data, binned, 1e-6, "blob", "run", memory=1e5)
    for name in ("density", "expected_counts", "counts_map", "truncation", "binning_error"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-9)


def test_points_alone_have_a_bound_on_what_is_cut() -> None:
    exposure = small_exposure()
    result = marginalise(Blob(point=True), exposure, some_data(exposure), True, 1e-6, "blob", "run")
    assert np.all(result.truncation > 0)
    assert np.all(result.truncation < 1e-12 * result.density.max())


def test_less_memory_is_held_if_so_set() -> None:
    """The peak is within the setting, but for the tables and what a single morphology needs."""
    exposure, source = small_exposure(), Blob(widths=tuple(np.linspace(0.1, 0.3, 12)))
    data = some_data(exposure, 40)

    def peak(source, memory):
        tracemalloc.start()
        try:
            marginalise(source, exposure, data, True, 1e-6, "blob", "run", memory)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(Blob(), 1e9)  # what is kept with the exposure, and compiled code
    free, single = peak(source, 1e9), peak(Blob(), 1e3)
    tables = 8 * 4 * (12 * 5 + 12 * 4 + 11 * 5) * (1 + exposure.data.sky.size + data.size)
    held = peak(source, 0.2 * free)
    assert held < 0.6 * free
    assert held < 0.2 * free + single + tables

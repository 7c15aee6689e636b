"""Binned counts against the sum over every pair of cells, in plain numpy, with no cut anywhere."""

import numpy as np
import pytest
from tests.synthetic import gaussian_psf, small_exposure

from skymix.domains.gamma.brute_force import brute_force_counts
from skymix.domains.gamma.components.base import GridMorphology, Parameter, Term
from skymix.domains.gamma.data import Data
from skymix.domains.gamma.marginalise import densities
from skymix.domains.gamma.rows import Rows

INDICES = np.array([1.5, 2.5, 4.0])


class Blob:
    """Gaussian patch with a power law."""

    parameters = (Parameter("index", "index", "", INDICES, "linear"),)

    def terms(self, grid, frame, sky, rows):
        index = rows["index"][:, None]
        edges = grid.energy.edges
        spectrum = 1e-8 * (edges[:-1] ** (1 - index) - edges[1:] ** (1 - index)) / (index - 1)
        lon, lat = grid.sky.mesh()
        return (Term(GridMorphology(gaussian_psf(np.hypot(lon - 0.1, lat), 0.3)), spectrum),)


@pytest.mark.parametrize("memory", [1e9, 1e6])
def test_binned_density_is_the_sum_over_all_true_cells(memory) -> None:
    exposure, source = small_exposure(width=1.2, margin=0.2), Blob()
    grid = exposure.data
    cells = np.arange(grid.energy.size * grid.sky.size)
    data = Data(*grid.centre(cells), np.ones(cells.size), cells, cells)
    rows = Rows.grid(source.parameters)
    found = densities(source, exposure, data, rows, True, 1e-6, memory)
    counts = (found.at_data * grid.volume.ravel()).reshape(-1, *grid.shape)
    (term,) = source.terms(exposure.true, exposure.frame, {}, rows.values)
    sky = exposure.true.sky
    content = (term.morphology.intensity * sky.solid_angle)[..., None] * exposure.map_acceptance
    for pixel in ((0, 0), (2, 3), (5, 1)):
        expected = brute_force_counts(content, term.spectrum, exposure, pixel)
        np.testing.assert_allclose(counts[:, :, *pixel], expected, rtol=1e-12, atol=0)

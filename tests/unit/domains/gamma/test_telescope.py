import subprocess
import sys

import numpy as np
import pytest

from skymix.axes import EnergyAxis
from skymix.domains.gamma.irf import background_rate, read_response
from skymix.domains.gamma.telescope import (
    background,
    effective_area,
    energy_resolution,
    r68,
    telescope_response,
)
from skymix.errors import DataError

AXIS = EnergyAxis(np.geomspace(0.05, 150.0, 61))


@pytest.fixture(scope="module")
def response():
    return telescope_response(AXIS)


def containment(response, k, e, radius):
    r = radius * np.linspace(0, 1, 8001) ** 2
    psf = np.interp(np.sqrt(r), np.sqrt(response.rad), response.psf[k, :, e])
    return np.trapezoid(psf * 2 * np.pi * np.sin(np.radians(r)), np.radians(r))


def test_area_is_the_published_formula_averaged(response):
    # Numbers worked out by hand: 1.71e11 cm2 x (1e6)^-0.0891 x exp(-0.1) = 4.518e10 cm2 at 1 TeV.
    assert effective_area(np.float64(1.0), np.zeros(1))[0] == pytest.approx(4.518e6, rel=1e-3)
    cell = AXIS.cell(np.array([1.0]))[0]
    energy = np.exp(np.linspace(*np.log(AXIS.edges[cell : cell + 2]), 4001))
    mean = (1.71e7 * (energy * 1e6) ** -0.0891 * np.exp(-0.1 / energy)).mean()
    assert response.effective_area[0, cell] == pytest.approx(mean, rel=1e-4)
    at_3_deg = response.effective_area[list(response.offset).index(3.0), cell]
    assert at_3_deg / response.effective_area[0, cell] == pytest.approx(np.exp(-0.5), rel=1e-9)


def test_resolution_of_energy(response):
    assert energy_resolution(np.float64(0.05)) == pytest.approx(0.20, abs=0.01)
    assert energy_resolution(np.float64(30.0)) == pytest.approx(0.07, abs=0.006)
    y = response.log_migra
    for e in (0, 20, 59):
        density = np.diff(response.edisp[0, e])
        middle = 0.5 * (y[1:] + y[:-1])
        mean = density @ middle
        assert mean == pytest.approx(0, abs=1e-9)
        width = np.sqrt(density @ (middle - mean) ** 2)
        assert width == pytest.approx(energy_resolution(AXIS.centres[e]), rel=5e-3)
    assert np.all(response.edisp[..., 0] == 0)
    assert np.all(response.edisp[..., -1] == 1)
    assert np.all(np.diff(response.edisp, axis=-1) >= 0)


def test_psf_holds_68_percent_within_r68_and_all_in_the_end(response):
    for k, e in ((0, 0), (0, 30), (6, 30), (12, 59)):
        radius = float(r68(AXIS.centres[e], response.offset[k]))
        assert containment(response, k, e, radius) == pytest.approx(0.68, abs=2e-3)
        assert containment(response, k, e, response.rad[-1]) == pytest.approx(1.0, abs=1e-4)
    assert r68(np.float64(0.1), np.zeros(1))[0] == pytest.approx(0.15, abs=0.01)
    assert r68(np.float64(10.0), np.zeros(1))[0] == pytest.approx(0.03, abs=0.005)
    np.testing.assert_allclose(
        np.sqrt(response.rad), np.linspace(0, np.sqrt(response.rad[-1]), response.rad.size)
    )


def test_background_between_nodes_is_the_formula(response):
    rng = np.random.default_rng(2)
    energy = np.exp(rng.uniform(np.log(0.03), np.log(200), 500))
    x, y = rng.uniform(-5.9, 5.9, (2, 500))
    np.testing.assert_allclose(
        background_rate(response, energy, x, y), background(energy, x, y), rtol=1e-3
    )


@pytest.mark.parametrize("edges", [(0.01, 10.0), (1.0, 400.0)])
def test_energies_beyond_the_formulas_are_refused(edges):
    with pytest.raises(DataError, match=r"reach beyond its 0\.02 to 300 TeV; narrow grids"):
        telescope_response(EnergyAxis(np.geomspace(*edges, 4)))


def test_neither_gammapy_nor_a_file_is_needed():
    code = (
        "import sys, numpy as np\n"
        "from skymix.axes import EnergyAxis\n"
        "from skymix.domains.gamma.telescope import telescope_response\n"
        "telescope_response(EnergyAxis(np.array([1.0, 2.0])))\n"
        "sys.exit('gammapy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.data
def test_like_cta_south(response, data_folder):
    """Within a factor of a few of prod5 where the default study has its events."""
    folder = data_folder / "gamma/cta-prod5-irfs"
    cta = read_response(
        folder / "Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz", AXIS
    )
    energy = np.array([0.1, 0.3, 1.0, 3.0, 8.0])
    for offset in (0.5, 2.5, 3.5):
        at = np.full(energy.size, offset)
        ratio = background_rate(response, energy, at, 0 * at) / background_rate(
            cta, energy, at, 0 * at
        )
        assert np.all((ratio > 0.3) & (ratio < 3.5))
    cells = AXIS.cell(np.array([1.0, 3.0, 10.0, 30.0]))
    area = response.effective_area[1, cells] / cta.effective_area[1, cells]
    assert np.all((area > 0.5) & (area < 8))
    for e in cells:
        radius = float(r68(AXIS.centres[e], response.offset[1]))
        assert containment(cta, 1, e, radius) == pytest.approx(0.68, abs=0.2)


def test_a_smaller_blunter_array(response):
    other = telescope_response(AXIS, area_scale=0.25, psf_scale=1.5)
    np.testing.assert_allclose(other.effective_area, 0.25 * response.effective_area)
    np.testing.assert_allclose(other.background, 0.25 * response.background)
    np.testing.assert_array_equal(other.edisp, response.edisp)
    for k, e in ((0, 30), (6, 30)):
        radius = 1.5 * float(r68(AXIS.centres[e], response.offset[k]))
        assert containment(other, k, e, radius) == pytest.approx(0.68, abs=2e-3)

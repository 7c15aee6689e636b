"""Point and Gaussian sources."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pydantic import TypeAdapter

from skymix.axes import EnergyAxis, Grid, SkyGrid, separation
from skymix.domains.gamma.components import build_source
from skymix.domains.gamma.components.base import GridMorphology, PointMorphology
from skymix.domains.gamma.components.source import (
    SphericalGaussian,
    distance_to,
    gaussian_morphology,
)
from skymix.domains.gamma.components.spectra import power_law
from skymix.domains.gamma.geometry import RegionFrame
from skymix.errors import StudyError
from skymix.study.components import AnyComponent, Position

COMPONENT = TypeAdapter(AnyComponent)
CRAB = RegionFrame(Position(frame="icrs", lon="83.63 deg", lat="22.01 deg"))
GRID = Grid(EnergyAxis.logarithmic(0.1, 100, 5), SkyGrid.centred(3, 3, 0.05))
SPECTRUM = {"kind": "power_law", "index": 2.6, "amplitude": "3.5e-11 TeV-1 cm-2 s-1"}


def source(kind="point_source", lon="83.63 deg", lat="22.01 deg", **more):
    settings_ = {
        "kind": kind,
        "position": {"frame": "icrs", "lon": lon, "lat": lat},
        "spectrum": SPECTRUM,
    }
    return build_source("crab", COMPONENT.validate_python(settings_ | more), "nowhere")


def test_point_source():
    (term,) = source().terms(GRID, CRAB, {}, {})
    assert isinstance(term.morphology, PointMorphology)
    assert_allclose([term.morphology.lon, term.morphology.lat], 0, atol=1e-10)
    assert_allclose(term.morphology.weight, [1])
    expected = power_law(GRID.energy.edges, np.array([3.5e-7]), np.array([2.6]), 1.0)
    assert_allclose(term.spectrum, expected, rtol=1e-14)


def test_index_makes_rows():
    crab = source(spectrum=SPECTRUM | {"index": {"min": 2, "max": 3, "nodes": 3}})
    assert [p.name for p in crab.parameters] == ["crab.index"]
    (term,) = crab.terms(GRID, CRAB, {}, {"crab.index": np.array([2.0, 2.5, 3.0])})
    assert term.spectrum.shape == (3, GRID.energy.size)


def test_a_source_out_of_reach_is_refused():
    with pytest.raises(StudyError, match=r"components\.crab\.position: the source is 0.5 deg outs"):
        source(lat="24.01 deg").terms(GRID, CRAB, {}, {})
    (term,) = source("gaussian_source", lat="24.01 deg", sigma="0.2 deg").terms(GRID, CRAB, {}, {})
    assert np.sum(term.morphology.intensity * GRID.sky.solid_angle) < 0.01


@pytest.mark.parametrize("sigma", [0.1, 0.25])
def test_a_wide_gaussian_is_its_cell_means(sigma):
    morphology = gaussian_morphology(GRID.sky, 0.013, -0.021, sigma)
    assert isinstance(morphology, GridMorphology)
    content = morphology.intensity * GRID.sky.solid_angle
    lon, _ = GRID.sky.mesh()
    assert_allclose(content.sum(), 1, rtol=1e-6)
    assert_allclose(np.sum(content * lon), 0.013, rtol=1e-3)
    # Cell centres add the variance of a cell to that of the profile.
    variance = np.sum(content * (lon - 0.013) ** 2)
    assert_allclose(variance, sigma**2 + 0.05**2 / 12, rtol=1e-3)


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.099])
def test_a_narrow_gaussian_convolves_like_the_profile(sigma):
    # Seen through a Gaussian PSF of one pixel it is a Gaussian again.
    points = gaussian_morphology(GRID.sky, 0.0, 0.0, sigma)
    assert isinstance(points, PointMorphology)
    assert_allclose(points.weight.sum(), 1, rtol=1e-14)
    assert np.all(points.weight >= 0)
    psf = 0.05
    x = np.linspace(0, 0.4, 40)
    r2 = (x[:, None] - points.lon) ** 2 + (0.3 * x[:, None] - points.lat) ** 2
    got = np.exp(-0.5 * r2 / psf**2) @ points.weight / psf**2
    total = psf**2 + sigma**2
    expected = np.exp(-0.5 * (1.09 * x**2) / total) / total
    assert_allclose(got, expected, atol=3e-5 * expected[0])


@settings(max_examples=40)
@given(lon=st.floats(-5, 5), lat=st.floats(-80, 80), sigma=st.floats(1e-3, 0.5))
def test_directions_keep_the_moments_anywhere(lon, lat, sigma):
    profile = SphericalGaussian(np.radians(sigma))
    points = profile.directions(lon, lat, rings=6)
    psi = separation(points.lon, points.lat, np.asarray(lon), np.asarray(lat))
    assert_allclose(np.sum(points.weight * psi**2), 2 * sigma**2, rtol=1e-4)
    assert_allclose(np.sum(points.weight * points.lat), lat, atol=sigma**2 * 0.2 + 1e-9)


def test_profile_integrates_to_one_over_the_sphere():
    for sigma in (0.01, 0.5, 2.0):
        profile = SphericalGaussian(sigma)
        assert_allclose(2 * np.pi * profile.cumulative(np.array([np.pi])), 1, rtol=1e-12)
        psi = np.linspace(0, np.pi, 200_001)
        ring = 2 * np.pi * profile.intensity(psi) * np.sin(psi)
        assert_allclose(np.trapezoid(ring, psi), 1, rtol=1e-6)


def test_distance_to_the_grid():
    assert distance_to(GRID.sky, 0.3, -1.2) == 0
    assert_allclose(distance_to(GRID.sky, 0.0, 2.0), 0.5)

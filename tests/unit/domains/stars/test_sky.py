"""Profiles on the sky: normalised over the selected region, wherever their centre lies."""

import numpy as np
import pytest

from skymix.domains.stars.sky import Profile, area
from skymix.mixture.priors import Uniform
from skymix.store import Catalogue

PRIOR = Uniform(0, 1)


def catalogue(sky, inner, outer):
    n = len(sky)
    return Catalogue(
        ("x",), ("",), np.zeros((n, 1)), np.ones((n, 1, 1)), np.arange(n), "{}", sky, inner, outer
    )


def grid(inner, outer, nr=500, nphi=360):
    """Midpoints of a polar grid over an annulus, and their areas."""
    edges = np.linspace(inner, outer, nr + 1)
    r = 0.5 * (edges[1:] + edges[:-1])
    phi = (np.arange(nphi) + 0.5) * 2 * np.pi / nphi
    sky = np.stack([np.outer(r, np.cos(phi)).ravel(), np.outer(r, np.sin(phi)).ravel()], axis=1)
    return sky, np.repeat(r * np.diff(edges) * 2 * np.pi / nphi, nphi)


@pytest.mark.parametrize("kind", ["plummer", "king", "gaussian"])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.05, -0.1), (0.3, 0.1)])
@pytest.mark.parametrize(("inner", "outer"), [(0.0, 0.26), (0.1, 0.4)])
@pytest.mark.parametrize("scale", [0.03, 0.3])
def test_integral_over_the_region_is_one(kind, centre, inner, outer, scale):
    concentration = PRIOR if kind == "king" else None
    profile = Profile(kind, PRIOR, PRIOR, PRIOR, concentration)
    theta = np.array([*centre, scale, *([5.0] if concentration else [])])
    sky, cell = grid(inner, outer)
    density = np.exp(profile.at(catalogue(sky, inner, outer))(theta))
    assert cell.sum() == pytest.approx(area((inner, outer)), rel=1e-9)
    assert density @ cell == pytest.approx(1, abs=2e-4)


def test_shapes_are_those_of_their_papers():
    square = np.array([0.0, 1.0, 9.0])
    plummer = np.exp(Profile("plummer", PRIOR, PRIOR, PRIOR).log_surface(square, np.ones(1)))
    assert plummer == pytest.approx([1, 1 / 4, 1 / 100])
    king = Profile("king", PRIOR, PRIOR, PRIOR, PRIOR).log_surface(square, np.array([1.0, 2.0]))
    king = np.exp(king)
    edge = 5**-0.5
    assert king == pytest.approx([(1 - edge) ** 2, (2**-0.5 - edge) ** 2, 0])


def test_star_outside_a_tidal_radius_has_no_density():
    profile = Profile("king", PRIOR, PRIOR, PRIOR, PRIOR)
    stars = catalogue(np.array([[0.0, 0.0], [0.2, 0.0]]), 0.0, 0.3)
    log = profile.at(stars)(np.array([0.0, 0.0, 0.02, 5.0]))
    assert np.isfinite(log[0])
    assert log[1] == -np.inf
    assert (profile.at(stars)(np.array([0.0, 0.9, 0.02, 5.0])) == -np.inf).all()

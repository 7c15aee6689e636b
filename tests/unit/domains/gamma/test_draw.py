import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from skymix.axes import EnergyAxis
from skymix.domains.gamma.draw import sample_edisp, sample_psf
from skymix.domains.gamma.telescope import telescope_response

RESPONSE = telescope_response(EnergyAxis(np.geomspace(0.1, 50.0, 9)))
N = 4000


def rows(k, e):
    return np.full(N, k), np.full(N, e)


nodes = st.integers(0, RESPONSE.offset.size - 1)
cells = st.integers(0, 7)
seeds = st.integers(0, 2**32 - 1)


@given(k=nodes, e=cells, seed=seeds)
def test_energies_follow_the_cumulative(k, e, seed):
    drawn = sample_edisp(RESPONSE, *rows(k, e), np.random.default_rng(seed))
    result = kstest(drawn, lambda y: np.interp(y, RESPONSE.log_migra, RESPONSE.edisp[k, e]))
    assert result.pvalue > 1e-6


@given(k=nodes, e=cells, seed=seeds)
def test_directions_follow_the_psf(k, e, seed):
    drawn = sample_psf(RESPONSE, *rows(k, e), np.random.default_rng(seed))
    fine = RESPONSE.rad[-1] * np.linspace(0, 1, 20001) ** 2
    psf = np.interp(np.sqrt(fine), np.sqrt(RESPONSE.rad), RESPONSE.psf[k, :, e])
    ring = psf * np.sin(np.radians(fine))
    share = np.concatenate([[0], np.cumsum(0.5 * (ring[1:] + ring[:-1]) * np.diff(fine))])
    result = kstest(drawn, lambda r: np.interp(r, fine, share / share[-1]))
    assert result.pvalue > 1e-6


def test_every_event_has_its_own_row():
    rng = np.random.default_rng(8)
    k, e = rng.integers(0, RESPONSE.offset.size, 90_000), rng.integers(0, 8, 90_000)
    radius, shift = sample_psf(RESPONSE, k, e, rng), sample_edisp(RESPONSE, k, e, rng)
    for node, cell in ((0, 0), (12, 0), (0, 7), (5, 3)):
        mine = (k == node) & (e == cell)
        psf = RESPONSE.psf[node, :, cell] * np.sin(np.radians(RESPONSE.rad))
        mean = np.trapezoid(psf * RESPONSE.rad, RESPONSE.rad) / np.trapezoid(psf, RESPONSE.rad)
        assert radius[mine].mean() == pytest.approx(mean, rel=0.1)
        width = np.sqrt(
            np.trapezoid(
                RESPONSE.log_migra**2 * np.gradient(RESPONSE.edisp[node, cell], RESPONSE.log_migra),
                RESPONSE.log_migra,
            )
        )
        assert shift[mine].std() == pytest.approx(width, rel=0.1)


def test_draws_depend_on_the_stream_only():
    k, e = np.array([3, 0, 3, 1]), np.array([1, 2, 1, 5])
    first = sample_edisp(RESPONSE, k, e, np.random.default_rng(5))
    np.testing.assert_array_equal(first, sample_edisp(RESPONSE, k, e, np.random.default_rng(5)))
    assert np.unique(first).size == 4


@pytest.mark.parametrize("sample", [sample_edisp, sample_psf])
def test_nothing_drawn_for_no_event(sample):
    empty = np.empty(0, dtype=np.int64)
    assert sample(RESPONSE, empty, empty, np.random.default_rng(1)).shape == (0,)

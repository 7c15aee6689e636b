"""Upper limits against the integral over the posterior."""

import numpy as np
import pytest
from scipy import integrate, stats

from skymix.errors import SkymixError
from skymix.mixture import Data, LeafTable, ParameterAxis, RateMixture, Tree, prior_from_mapping
from skymix.sampling.limits import fit_null, upper_limits, weighted_quantile

BACKGROUND = 9.0
MASSES = np.array([1.0, 2.0])
PER_FACTOR = np.array([1.0, 4.0])  # expected signal at factor 1, of each mass


def counting(count, free_background=False):
    """One cell with a count, in which signal and background cannot be told apart."""
    leaves = [
        LeafTable("signal", np.ones((2, 1)), (ParameterAxis("mass", MASSES, "log"),)),
        LeafTable("background", np.ones((1, 1))),
    ]
    level = prior_from_mapping({"kind": "uniform", "lower": 0.5, "upper": 1.5})
    return RateMixture(
        Tree.from_mapping({"prior": None, "children": {"signal": None, "background": None}}),
        leaves,
        {"signal": PER_FACTOR[None], "background": np.array([[BACKGROUND]])},
        Data(np.array([float(count)])),
        {
            "signal": prior_from_mapping({"kind": "uniform", "lower": 0.0, "upper": 1e4}),
            "background": level if free_background else 1.0,
        },
        [],
        {"mass": prior_from_mapping({"kind": "log_uniform", "lower": 1.0, "upper": 2.0})},
    )


def limits(problem, **changes):
    settings = {"largest": 1e4, "level": 0.95, "draws": 40_000, "seed": 1} | changes
    return upper_limits(
        problem,
        "amplitude.signal",
        settings["largest"],
        "mass",
        MASSES,
        settings["level"],
        settings["draws"],
        settings["seed"],
    )


@pytest.mark.parametrize("count", [1, 9, 15, 60])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_counting_experiment(count, level):
    # With a flat prior the posterior of signal + background is a gamma one above the background.
    gamma = stats.gamma(count + 1)
    signal = gamma.ppf(1 - (1 - level) * gamma.sf(BACKGROUND)) - BACKGROUND
    found = limits(counting(count), level=level)
    np.testing.assert_allclose(found.limit, signal / PER_FACTOR, rtol=0.02)


@pytest.mark.parametrize("count", [9, 40])
def test_bayes_factor(count):
    found = limits(counting(count))
    for factor, log_bayes, error in zip(
        PER_FACTOR, found.log_bayes, found.log_evidence_error, strict=True
    ):
        # d(signal) / factor / largest, over the likelihood without a signal.
        with_signal = stats.gamma(count + 1).sf(BACKGROUND) / factor / 1e4
        expected = np.log(with_signal / stats.poisson(BACKGROUND).pmf(count))
        assert log_bayes == pytest.approx(expected, abs=max(0.02, 4 * error))


def test_free_background():
    count = 12
    signal, level = np.linspace(0, 40, 801), np.linspace(0.5, 1.5, 201)
    at = stats.poisson.pmf(count, signal[:, None] + BACKGROUND * level)
    likelihood = integrate.simpson(at, x=level, axis=1)
    cumulative = integrate.cumulative_simpson(likelihood, x=signal, initial=0)
    expected = np.interp(0.95, cumulative / cumulative[-1], signal)
    found = limits(counting(count, free_background=True))
    np.testing.assert_allclose(found.limit, expected / PER_FACTOR, rtol=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_null_keeps_what_is_fixed_to_the_last_bit(seed):
    problem = counting(9, free_background=True)
    null = fit_null(problem, {"mass": 1.1, "amplitude.signal": 0.0}, 2000, seed)
    values = dict(zip(problem.names, null.theta.tolist(), strict=True))
    assert (values["mass"], values["amplitude.signal"]) == (1.1, 0.0)
    assert 0.5 < values["amplitude.background"] < 1.5


def test_end_of_the_prior_does_not_shape_the_limit():
    wide, narrow = limits(counting(9)), limits(counting(9), largest=1e3)
    np.testing.assert_allclose(wide.limit, narrow.limit, rtol=0.02)
    np.testing.assert_allclose(narrow.log_bayes - wide.log_bayes, np.log(10), atol=0.03)


def test_refuses_a_prior_that_ends_within_the_posterior():
    with pytest.raises(SkymixError, match=r"mass = 1 .* reaches the largest .*raise limits.upper"):
        limits(counting(9), largest=5.0)


def test_weighted_quantile():
    value = np.array([3.0, 1.0, 2.0])
    assert weighted_quantile(value, np.array([0.2, 0.4, 0.4]), 0.4) == pytest.approx(1.5)
    draws = np.random.default_rng(1).normal(size=100_000)
    equal = np.full(draws.size, 1 / draws.size)
    assert weighted_quantile(draws, equal, 0.95) == pytest.approx(np.quantile(draws, 0.95), 1e-3)

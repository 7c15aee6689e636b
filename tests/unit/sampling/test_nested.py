"""What a nested run records of itself."""

import warnings

import numpy as np
import pytest
from scipy import stats
from tests.unit.sampling.test_batches import Bowl

from skymix.diagnostics import insertion_p_value
from skymix.errors import SkymixError
from skymix.sampling import LaplaceRun, sample_nested
from skymix.sampling.nested import evidence_of
from skymix.sampling.posterior import posterior_tree


@pytest.fixture(scope="module")
def run():
    return sample_nested(Bowl(), 300, 0.05, "single", "auto", 5)


def test_points_are_born_below_their_likelihood(run) -> None:
    assert np.all(run.log_likelihood_birth < run.log_likelihood)
    assert (run.log_likelihood_birth == -np.inf).sum() == run.n_live
    assert np.all(np.diff(run.log_likelihood) >= 0)
    assert np.exp(run.log_weight).sum() == pytest.approx(1)


def test_information_is_the_same_however_large_the_likelihood(run) -> None:
    volume = run.log_prior_volume
    shifted = evidence_of(run.log_likelihood + 2e8, volume, 0.0)
    assert shifted["information"] == pytest.approx(run.information, abs=1e-5)
    assert shifted["log_evidence"] == pytest.approx(run.log_evidence + 2e8, abs=1e-5)
    exact = np.exp(run.log_weight) @ (run.log_likelihood - run.log_evidence)
    assert run.information == pytest.approx(exact, abs=1e-9)


def test_insertion_ranks_are_uniform(run) -> None:
    assert run.insertion_rank.size == run.samples.shape[0] - run.n_live
    assert insertion_p_value(run.insertion_rank, run.n_live) > 1e-3


def test_insertion_ranks_show_a_bound_that_is_not_kept(run) -> None:
    """New points drawn from too high above the bound, as a broken sampler would."""
    biased = np.maximum(run.insertion_rank, run.insertion_rank[::-1])
    assert insertion_p_value(biased, run.n_live) < 1e-6


def test_equal_weight_draws_have_the_weighted_moments(run) -> None:
    draws = run.samples[run.equal_weight_draws(np.random.default_rng(1))]
    weight = np.exp(run.log_weight)
    error = run.samples.std(axis=0) / np.sqrt(run.effective_size)
    np.testing.assert_allclose(draws.mean(axis=0), weight @ run.samples, atol=4 * error.max())
    x = np.linspace(-1, 1, 4001)
    cumulative = np.cumsum(np.exp(-(x**2)))
    cumulative /= cumulative[-1]
    exact = stats.kstest(draws[:, 0], lambda v: np.interp(v, x, cumulative))
    assert exact.statistic < 2 / np.sqrt(run.effective_size)


def test_posterior_opens_in_arviz(run, tmp_path) -> None:
    from skymix.store import Provenance, write_posterior

    with warnings.catch_warnings():
        # Once a day it announces its next version.
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    tree = posterior_tree(
        run,
        Bowl(),
        lambda theta: {"radius": np.hypot(*theta.T)},
        {"x": "deg"},
        {"multiplicity": np.ones(3)},
        {"x": 0.5},
        1,
    )
    write_posterior(tmp_path / "posterior.nc", tree, Provenance({"a": 1}, {}, 5))
    data = arviz.from_netcdf(tmp_path / "posterior.nc")
    assert {"posterior", "sample_stats", "prior", "observed_data", "constant_data"} <= set(
        data.groups()
    )
    assert data.posterior["x"].dims == ("chain", "draw")
    assert data.posterior["x"].attrs["unit"] == "deg"
    np.testing.assert_allclose(
        data.posterior["radius"], np.hypot(data.posterior["x"], data.posterior["y"])
    )


def test_importance_sampling_has_a_group_of_its_own(tmp_path) -> None:
    from skymix.store import Provenance, read_posterior, write_posterior

    n = 5000
    samples = np.random.default_rng(1).uniform(-1, 1, (n, 2))
    weighted = LaplaceRun(
        names=Bowl.names,
        samples=samples,
        log_likelihood=-(samples**2).sum(axis=1),
        log_weight=np.full(n, -np.log(n)),
        log_evidence=-1.5,
        log_evidence_error=0.01,
        information=0.2,
        n_calls=5100,
        seconds=0.1,
        n_draws=5050,
    )
    tree = posterior_tree(weighted, Bowl(), lambda _: {}, {"x": "deg"}, {}, {}, 1)
    write_posterior(tmp_path / "posterior.nc", tree, Provenance({}, {}, 5))
    back = read_posterior(tmp_path / "posterior.nc")
    assert "nested" not in back.children
    assert set(back["weighted"].data_vars) == {"log_likelihood", "log_weight", "x", "y"}
    assert back["weighted"]["x"].attrs["unit"] == "deg"
    assert set(back["sample_stats"].data_vars) == {"log_likelihood"}
    assert back["posterior"].sizes["draw"] == n
    assert back.attrs["sampler"] == "laplace"
    assert back.attrs["n_draws"] == 5050
    assert "n_live" not in back.attrs


def test_zero_likelihood_everywhere_is_one_sentence() -> None:
    class Nothing(Bowl):
        def log_likelihood(self, theta):
            return np.full(theta.shape[0], -np.inf)

    with pytest.raises(SkymixError, match="dynesty cannot sample this problem"):
        sample_nested(Nothing(), 50, 0.5, "single", "auto", 1)

"""Batched slices are dynesty's slices, number by number."""

import numpy as np
import pytest
from dynesty.internal_samplers import RSliceSampler, SamplerArgument
from tests.unit.sampling.test_batches import Bowl, pool_of


class Ridge(Bowl):
    """A narrow slanted ridge in three dimensions."""

    names = ("x", "y", "z")
    labels = names

    def log_likelihood(self, theta):
        x, y, z = theta.T
        return -30 * (x - y) ** 2 - x**2 - 5 * (z + x) ** 2


def tasks(problem, n=30, threshold=-0.6, scale=1.0, **kwargs):
    pool = pool_of(problem)
    ndim = len(problem.names)
    axes = np.linalg.cholesky(0.05 * np.eye(ndim) + 0.03)
    rng = np.random.default_rng(5)
    return [
        SamplerArgument(
            u=0.5 + 0.01 * rng.standard_normal(ndim),
            loglstar=threshold,
            axes=axes,
            scale=scale,
            prior_transform=pool.prior_transform,
            loglikelihood=pool.log_likelihood,
            rseed=seed,
            kwargs={"slices": 5, "nonperiodic": None} | kwargs,
        )
        for seed in np.random.SeedSequence(4).spawn(n)
    ]


@pytest.mark.parametrize("problem", [Bowl(), Ridge()])
@pytest.mark.parametrize("scale", [0.05, 1.0, 40.0])
def test_slices_are_those_of_dynesty(problem, scale, caplog) -> None:
    batched = pool_of(problem).map(RSliceSampler.sample, tasks(problem, scale=scale))
    alone = [RSliceSampler.sample(task) for task in tasks(problem, scale=scale)]
    for one, other in zip(batched, alone, strict=True):
        np.testing.assert_allclose(one.u, other.u, rtol=0, atol=1e-12)
        np.testing.assert_allclose(one.v, other.v, rtol=0, atol=1e-12)
        assert float(one.logl) == pytest.approx(float(other.logl), abs=1e-10)
        assert float(one.logl) > -0.6
        assert one.ncalls == other.ncalls
        assert one.tuning_info == other.tuning_info
        evaluated = one.proposal_stats.pop("n_evaluated")
        assert 0 < evaluated <= one.ncalls
        assert one.proposal_stats == other.proposal_stats
    assert not caplog.text


def test_a_slice_does_not_depend_on_its_neighbours() -> None:
    together = pool_of(Ridge()).map(RSliceSampler.sample, tasks(Ridge()))
    for i, task in enumerate(tasks(Ridge())):
        apart = pool_of(Ridge()).map(RSliceSampler.sample, [task])[0]
        np.testing.assert_array_equal(apart.u, together[i].u)
        assert apart.ncalls == together[i].ncalls


def test_one_batched_call_a_step() -> None:
    class Counted(Ridge):
        batches = 0

        def log_likelihood(self, theta):
            Counted.batches += 1
            return super().log_likelihood(theta)

    pool = pool_of(Counted())
    results = pool.map(RSliceSampler.sample, tasks(Ridge(), n=64))
    assert pool.calls > 64 * 5 * 3
    assert Counted.batches < pool.calls / 15
    assert sum(r.ncalls for r in results) >= pool.calls


@pytest.mark.filterwarnings("ignore:.*slic")
def test_an_endless_slice_goes_to_doubling_as_in_dynesty() -> None:
    """Some of the tasks step out more than a thousand times, others do not."""
    batched = pool_of(Bowl()).map(RSliceSampler.sample, tasks(Bowl(), n=8, scale=3e-3))
    alone = [RSliceSampler.sample(task) for task in tasks(Bowl(), n=8, scale=3e-3)]
    assert {r.tuning_info["expansion_warning_set"] for r in alone} == {True, False}
    for one, other in zip(batched, alone, strict=True):
        np.testing.assert_allclose(one.u, other.u, rtol=0, atol=1e-12)
        assert one.tuning_info == other.tuning_info


def test_doubling_runs_one_at_a_time_and_says_so(caplog) -> None:
    pool_of(Bowl()).map(RSliceSampler.sample, tasks(Bowl(), n=2, slice_doubling=True))
    assert caplog.text.count("draws points one at a time") == 1

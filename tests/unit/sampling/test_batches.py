"""The batched pool draws what dynesty's own code draws."""

import numpy as np
import pytest
from dynesty import bounding
from dynesty.internal_samplers import (
    RWalkSampler,
    SamplerArgument,
    SliceSampler,
    UniformBoundSampler,
    UnitCubeSampler,
)
from scipy import stats

from skymix.errors import SkymixError
from skymix.sampling.batches import BatchPool, draw_from_bound
from skymix.sampling.executor import SerialExecutor


class Bowl:
    """ln L falls with the distance from the middle of the unit square."""

    names = ("x", "y")
    labels = names

    def prior_transform(self, u):
        return 2 * u - 1

    def log_likelihood(self, theta):
        return -(theta**2).sum(axis=1)


def pool_of(problem) -> BatchPool:
    """Pool that does all work in this process."""
    executor = SerialExecutor()
    return BatchPool(executor.install(problem), executor, 64)


def tasks(n, threshold, **kwargs):
    seeds = np.random.SeedSequence(3).spawn(n)
    axes = 0.3 * np.eye(2)
    start = np.full(2, 0.5)
    pool = pool_of(Bowl())
    return [
        SamplerArgument(
            u=start,
            loglstar=threshold,
            axes=axes,
            scale=1.0,
            prior_transform=pool.prior_transform,
            loglikelihood=pool.log_likelihood,
            rseed=seed,
            kwargs={"ndim": 2, "walks": 20, "ncdim": 2, "n_cluster": 2} | kwargs,
        )
        for seed in seeds
    ]


SAMPLERS = [UnitCubeSampler.sample, UniformBoundSampler.sample, RWalkSampler.sample]


def ellipsoid() -> bounding.Ellipsoid:
    return bounding.Ellipsoid(
        2, ctr=np.array([0.5, 0.45]), cov=np.array([[0.1, 0.03], [0.03, 0.05]])
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_points_lie_above_the_threshold_and_belong_together(sampler) -> None:
    for result in pool_of(Bowl()).map(sampler, tasks(40, -0.2, bound=ellipsoid())):
        assert float(result.logl) > -0.2
        np.testing.assert_array_equal(result.v, 2 * result.u - 1)
        assert float(result.logl) == -(result.v**2).sum()
        assert result.ncalls >= 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_task_does_not_depend_on_its_neighbours(sampler) -> None:
    together = pool_of(Bowl()).map(sampler, tasks(12, -0.2, bound=ellipsoid()))
    apart = [pool_of(Bowl()).map(sampler, [task])[0] for task in tasks(12, -0.2, bound=ellipsoid())]
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.u, other.u)
        assert one.ncalls == other.ncalls


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_same_law_as_one_at_a_time(sampler) -> None:
    """Radius and angle of the new points, batched and by dynesty's own function."""
    many = tasks(1500, -0.3, bound=ellipsoid())
    batched = np.array([r.v for r in pool_of(Bowl()).map(sampler, many)])
    alone = np.array([sampler(task).v for task in tasks(1500, -0.3, bound=ellipsoid())])
    for quantity in (lambda v: np.hypot(*v.T), lambda v: np.arctan2(*v.T)):
        assert stats.ks_2samp(quantity(batched), quantity(alone)).pvalue > 1e-3


def test_draws_from_ellipsoids_are_uniform() -> None:
    rng = np.random.default_rng(1)
    ell = ellipsoid()
    points = np.concatenate([draw_from_bound(ell, 2, 64, rng) for _ in range(60)])
    shift = points - ell.ctr
    share = np.einsum("ni,ij,nj->n", shift, ell.am, shift)  # uniform in the area
    assert stats.kstest(share, "uniform").pvalue > 1e-3


def test_overlap_of_ellipsoids_is_not_counted_twice() -> None:
    rng = np.random.default_rng(1)
    ells = [
        bounding.Ellipsoid(2, ctr=np.array([x, 0.5]), cov=0.04 * np.eye(2)) for x in (0.45, 0.55)
    ]
    union = bounding.MultiEllipsoid(2, ells=ells)
    points = np.concatenate([draw_from_bound(union, 2, 64, rng) for _ in range(200)])
    inside = [((points - e.ctr) ** 2).sum(axis=1) < 0.04 for e in ells]
    assert np.all(inside[0] | inside[1])
    # Area of the lens of two discs of radius 0.2 at a distance of 0.1, over that of the union.
    half = np.arccos(0.25)
    lens = 2 * 0.04 * (half - np.sin(half) * np.cos(half))
    expected = lens / (2 * np.pi * 0.04 - lens)
    found = np.mean(inside[0] & inside[1])
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected / points.shape[0]))


def test_a_bound_of_fewer_dimensions_leaves_the_others_free() -> None:
    points = draw_from_bound(ellipsoid(), 4, 2000, np.random.default_rng(2))
    assert points.shape[1] == 4
    assert stats.kstest(points[:, 3], "uniform").pvalue > 1e-3


def test_other_samplers_run_one_at_a_time_and_say_so_once(caplog) -> None:
    pool = pool_of(Bowl())
    for _ in range(2):
        pool.map(SliceSampler.sample, tasks(2, -0.5, slices=2, nonperiodic=None))
    assert caplog.text.count("draws points one at a time") == 1


def test_a_likelihood_that_is_no_number_is_named() -> None:
    class Broken(Bowl):
        def log_likelihood(self, theta):
            return np.where(theta[:, 0] > 0, np.nan, -1.0)

    with pytest.raises(SkymixError, match=r"not a number at x = .*, y = "):
        pool_of(Broken()).map(UnitCubeSampler.sample, tasks(20, -2.0))

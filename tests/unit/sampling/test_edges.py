"""Problems that a nested sampler meets at the edge: nothing free, no likelihood, plateaus."""

import numpy as np
import pytest
from scipy import special
from tests.unit.sampling.test_batches import Bowl

from skymix.diagnostics import insertion_p_value
from skymix.errors import SkymixError
from skymix.sampling import sample_nested
from skymix.sampling.nested import _insertion_ranks


class Narrow(Bowl):
    """ln L = -20 r^2 on the square of side 2."""

    def log_likelihood(self, theta):
        return -20 * (theta**2).sum(axis=1)


def sampled(problem, live_points=300, bound="single", sample="auto", seed=1):
    return sample_nested(problem, live_points, 0.05, bound, sample, seed)


def log_evidence_of_narrow():
    side = np.sqrt(np.pi / 20) * special.erf(np.sqrt(20.0))
    return 2 * np.log(side) - np.log(4)


@pytest.mark.parametrize("bound", ["none", "single", "multi", "balls", "cubes"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_bound(bound):
    run = sampled(Narrow(), bound=bound)
    assert abs(run.log_evidence - log_evidence_of_narrow()) < 3 * run.log_evidence_error


@pytest.mark.parametrize("sample", ["unif", "rwalk", "slice", "rslice"])
def test_every_way_to_draw(sample):
    run = sampled(Narrow(), 150, sample=sample)
    assert abs(run.log_evidence - log_evidence_of_narrow()) < 3 * run.log_evidence_error


def test_an_infinite_likelihood_names_the_parameters():
    class Broken(Narrow):
        def log_likelihood(self, theta):
            return np.where(theta[:, 0] > 0, np.inf, super().log_likelihood(theta))

    with pytest.raises(SkymixError, match=r"is infinite at x = \S+, y = \S+; check the data"):
        sampled(Broken())


@pytest.mark.parametrize("limit", [0.0, 0.9, -2.0])
def test_not_a_number_names_the_parameters_and_prints_nothing(capsys, limit):
    """dynesty prints a traceback for each error of a function that it calls itself."""

    class Broken(Narrow):
        def log_likelihood(self, theta):
            return np.where(theta[:, 0] > limit, np.nan, super().log_likelihood(theta))

    with pytest.raises(
        SkymixError, match=r"not a number at x = \S+, y = \S+; check the data and the model"
    ):
        sampled(Broken())
    out, err = capsys.readouterr()
    assert (out, err) == ("", "")


def test_not_a_number_near_the_peak_is_met_later(capsys):
    class Broken(Narrow):
        def log_likelihood(self, theta):
            r = np.hypot(*theta.T)
            return np.where(r < 0.01, np.nan, super().log_likelihood(theta))

    with pytest.raises(
        SkymixError, match=r"not a number at x = \S+, y = \S+; check the data and the model"
    ):
        sampled(Broken())
    assert "Traceback" not in "".join(capsys.readouterr())


def test_nothing_free():
    class Fixed(Bowl):
        names = labels = ()

    with pytest.raises(SkymixError, match="nothing to sample; free a fraction or scan a parameter"):
        sampled(Fixed())


def test_flat_likelihood_is_its_own_evidence():
    class Flat(Bowl):
        def log_likelihood(self, theta):
            return np.full(theta.shape[0], -700.5)

    run = sampled(Flat())
    assert run.log_evidence == pytest.approx(-700.5, abs=0.05)
    assert run.insertion_rank.size == 0


class Half(Narrow):
    """Zero likelihood in most of the prior."""

    def log_likelihood(self, theta):
        return np.where(theta[:, 0] > -0.3, -np.inf, super().log_likelihood(theta))


def test_zero_likelihood_in_a_part_of_the_prior():
    side = np.sqrt(np.pi / 20)
    expected = np.log(side * 0.5 * side * special.erfc(0.3 * np.sqrt(20)) / 4)
    runs = [sampled(Half(), 400, seed=seed) for seed in range(4)]
    pulls = [(r.log_evidence - expected) / r.log_evidence_error for r in runs]
    assert np.abs(pulls).max() < 3
    for run in runs:
        ranks = run.insertion_rank[run.insertion_rank >= 0]
        assert 0 < ranks.size < run.insertion_rank.size
        assert insertion_p_value(ranks, run.n_live) > 1e-3


def test_plateau_at_the_top_is_no_false_alarm():
    class Plateau(Narrow):
        def log_likelihood(self, theta):
            return np.minimum(super().log_likelihood(theta), -2.0)

    ring, disc = np.pi / 20 * np.exp(-2), np.pi * 0.1 * np.exp(-2)
    run = sampled(Plateau())
    assert abs(run.log_evidence - np.log((ring + disc) / 4)) < 3 * run.log_evidence_error
    ranks = run.insertion_rank[run.insertion_rank >= 0]
    assert insertion_p_value(ranks, run.n_live) > 1e-3


def test_ranks_agree_with_counting():
    """Rank is the number of live points below the new one; here by counting, for any order."""
    rng = np.random.default_rng(0)
    n_live, iterations = 12, 60
    live = list(rng.random(n_live))
    births = [0] * n_live
    dead, dead_births, expected = [], [], []
    for iteration in range(1, iterations + 1):
        worst = int(np.argmin(live))
        dead.append(live[worst])
        dead_births.append(births[worst])
        new = live[worst] + rng.random() * (1.5 - live[worst])
        others = [x for i, x in enumerate(live) if i != worst]
        expected.append(sum(x < new for x in others))
        live[worst], births[worst] = new, iteration
    order = np.argsort(live)
    logl = np.array([*dead, *np.array(live)[order]])
    born = np.array([*dead_births, *np.array(births)[order]])
    assert _insertion_ranks(logl, born, n_live).tolist() == expected


def test_a_larger_queue_does_not_change_the_answer():
    """Same law with more live points or another way to draw: evidences agree in their errors."""
    runs = [
        sampled(Narrow(), 200, "single", "unif", 1),
        sampled(Narrow(), 600, "multi", "rwalk", 2),
    ]
    difference = runs[0].log_evidence - runs[1].log_evidence
    error = np.hypot(*(run.log_evidence_error for run in runs))
    assert abs(difference) < 3 * error

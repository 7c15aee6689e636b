"""Merged runs are one run with all their live points."""

import dataclasses
import warnings

import numpy as np
import pytest
from dynesty import utils
from dynesty.results import Results
from tests.unit.sampling.test_walks import Ridge

from skymix.diagnostics import insertion_p_value
from skymix.errors import SkymixError
from skymix.sampling import merge_runs, sample_nested
from skymix.sampling.merge import log_volumes
from skymix.sampling.posterior import posterior_tree


class Island(Ridge):
    """Zero likelihood in most of the prior: a plateau among the first dead points."""

    def log_likelihood(self, theta):
        inside = np.abs(theta).max(axis=1) < 0.85
        return np.where(inside, super().log_likelihood(theta), -np.inf)


@pytest.fixture(scope="module", params=[Ridge, Island])
def runs(request) -> list:
    problem = request.param()
    return [sample_nested(problem, 100, 0.05, "single", "unif", (3, k)) for k in range(1, 5)]


def test_a_single_run_keeps_its_volumes(runs) -> None:
    alone = merge_runs(runs[:1])
    np.testing.assert_allclose(alone.log_prior_volume, runs[0].log_prior_volume, rtol=1e-9)
    np.testing.assert_allclose(alone.log_weight, runs[0].log_weight, atol=1e-9)
    assert alone.log_evidence == pytest.approx(runs[0].log_evidence, abs=1e-9)
    assert alone.log_evidence_error == pytest.approx(runs[0].log_evidence_error, rel=1e-6)


def test_merged_evidence_is_that_of_the_runs_with_a_smaller_error(runs) -> None:
    merged = merge_runs(runs)
    each = np.array([run.log_evidence for run in runs])
    error = np.array([run.log_evidence_error for run in runs])
    assert merged.log_evidence == pytest.approx(each.mean(), abs=3 * error.mean() / 2)
    assert merged.log_evidence_error == pytest.approx(error.mean() / 2, rel=0.2)
    assert merged.effective_size > 3 * runs[0].effective_size
    assert np.all(np.diff(merged.log_likelihood) >= 0)
    assert np.exp(merged.log_weight).sum() == pytest.approx(1)
    assert merged.n_calls == sum(run.n_calls for run in runs)


def test_merged_as_dynesty_merges(runs) -> None:
    def results(run):
        n = run.log_likelihood.size
        zeros = np.zeros(n)
        return Results(
            {
                "nlive": run.n_live,
                "niter": n - run.n_live,
                "ncall": np.ones(n, dtype=int),
                "eff": 100.0,
                "samples": run.samples,
                "samples_u": run.samples,
                "samples_id": np.arange(n),
                "samples_it": np.arange(n),
                "logl": run.log_likelihood,
                "logvol": run.log_prior_volume,
                "logwt": zeros,
                "logz": zeros,
                "logzerr": zeros,
                "information": zeros,
                "blob": zeros,
                "proposal_stats": zeros,
            }
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = utils.merge_runs([results(run) for run in runs], print_progress=False)
    merged = merge_runs(runs)
    np.testing.assert_array_equal(merged.log_likelihood, theirs.logl)
    # dynesty forgets the volume that runs started from when it merges them.
    ours = merged.log_evidence - merged.log_first_volume
    assert ours == pytest.approx(float(theirs.logz[-1]), abs=0.02)


def test_runs_are_judged_one_by_one(runs) -> None:
    from skymix.diagnostics.predict import ranks_of_runs

    merged = merge_runs(runs)
    tree = posterior_tree(merged, Ridge(), lambda _: {}, {}, {}, {}, 1)
    assert tree.attrs["n_runs"] == 4
    found = ranks_of_runs(tree)
    assert len(found) == 4
    for ranks, run in zip(found, runs, strict=True):
        np.testing.assert_array_equal(ranks, run.insertion_rank[run.insertion_rank >= 0])
        assert insertion_p_value(ranks, run.n_live) > 1e-3


def test_volumes_of_a_plateau() -> None:
    found = np.exp(log_volumes(np.array([0.0, 0, 0, 1, 2]), np.array([9, 9, 9, 9, 9])))
    np.testing.assert_allclose(found, [0.9, 0.8, 0.7, 0.7 * 0.9, 0.7 * 0.81])


def test_the_same_run_twice_is_refused(runs) -> None:
    with pytest.raises(SkymixError, match="given twice"):
        merge_runs([runs[0], runs[0]])
    with pytest.raises(SkymixError, match="differ in parameters or live points"):
        merge_runs([runs[0], dataclasses.replace(runs[1], n_live=7)])

"""The straight line with outliers: both samplers reproduce the published posterior, and agree."""

import numpy as np
import pytest
from tests import line_outliers

from skymix.sampling import problem_from_pymc, sample_nested, sample_nuts
from skymix.sampling.pymc_import import import_pymc

pytestmark = pytest.mark.slow

pm = import_pymc()


@pytest.fixture(scope="module")
def nested():
    model = line_outliers.model(pm, *line_outliers.data())
    return sample_nested(problem_from_pymc(model), 500, 0.05, "multi", "unif", 1)


def moments(run):
    weight = np.exp(run.log_weight)
    mean = weight @ run.samples
    return mean, np.sqrt(weight @ (run.samples - mean) ** 2)


def test_nested_sampling_reproduces_the_published_means(nested):
    mean, sd = moments(nested)
    for j, name in enumerate(nested.names):
        published, published_sd = line_outliers.PUBLISHED[name]
        assert abs(mean[j] - published) < 0.1 * published_sd, name
        assert sd[j] == pytest.approx(published_sd, rel=0.12)


def test_evidence_is_against_a_line_without_outliers(nested):
    model = line_outliers.line_only(pm, *line_outliers.data())
    without = sample_nested(problem_from_pymc(model), 200, 0.1, "single", "unif", 1)
    assert nested.log_evidence - without.log_evidence > 900


def test_nuts_reproduces_the_published_means_and_agrees(nested):
    model = line_outliers.model(pm, *line_outliers.data())
    run = sample_nuts(model, 2, 500, 2000, 0.9, "pymc", 1)
    assert not run.divergences
    mean, sd = moments(nested)
    for j, name in enumerate(nested.names):
        found = run.variables[name].mean()
        published, published_sd = line_outliers.PUBLISHED[name]
        assert abs(found - published) < 0.1 * published_sd, name
        error = np.sqrt(1 / nested.effective_size + 1 / run.ess_bulk[name])
        assert abs(found - mean[j]) < 4 * error * sd[j], name

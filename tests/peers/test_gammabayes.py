"""GammaBayes 0.1.9's own numbers from its own tables: marginals, likelihoods and evidence."""

import numpy as np
import pytest
from tests.gammabayes import (
    COMPONENTS,
    LOG_EVIDENCE,
    marginals_of,
    mixture_of,
    read_reference,
)

from skymix.sampling import sample_laplace, sample_nested

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def reference(gammabayes_reference):
    return read_reference(gammabayes_reference)


@pytest.fixture(scope="module")
def marginals(reference):
    return marginals_of(reference)


@pytest.mark.parametrize("name", ["DM", *COMPONENTS])
def test_log_marginals(reference, marginals, name) -> None:
    expected = np.atleast_2d(reference[f"marg/log_marg_{name}"].T)
    found = np.log(marginals[name][:, : expected.shape[1]])
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


def test_likelihoods(reference, marginals) -> None:
    mixture = mixture_of(reference, marginals)
    assert mixture.names == ("fraction.DM", "fraction.CCR_BKG",
                             "fraction.HESSCatalogueSources_Prior", "mass")  # fmt: skip
    theta = reference["hyper/theta"]
    mass = reference["axes/mass"][reference["hyper/mass_index"]]
    points = np.column_stack([theta[:, 0], theta[:, 2], theta[:, 3], mass])
    found = mixture.log_likelihood(points)
    np.testing.assert_allclose(found, reference["hyper/loglike"], atol=1e-4, rtol=0)


def test_evidence_and_means(reference, marginals) -> None:
    mixture = mixture_of(reference, marginals)
    exact = sample_laplace(mixture, 20_000, seed=1)
    # Mass is uniform over 121 nodes there, and over the 120 intervals between them here.
    assert exact.log_evidence == pytest.approx(LOG_EVIDENCE, abs=0.05)
    nested = sample_nested(mixture, 500, 0.8, "single", "auto", seed=1)
    assert nested.log_evidence == pytest.approx(LOG_EVIDENCE, abs=4 * 0.13)
    weight = np.exp(exact.log_weight)
    mean = weight @ exact.samples
    sd = np.sqrt(weight @ (exact.samples - mean) ** 2)
    found = np.exp(nested.log_weight) @ nested.samples
    # Four standard errors of some 1800 effective draws.
    np.testing.assert_allclose((found - mean) / sd, 0, atol=0.1)
    assert abs(mean[-1] - 1.0) < 2 * sd[-1]  # TeV, what was simulated

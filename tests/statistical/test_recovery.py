"""Simulation-based calibration of the fit of one observation (Talts et al. 2018, arXiv:1804.06788).

Truths are drawn from the prior, events from the truths; then the posterior probability below the
truth is uniform. Studies that are wrong on purpose must not pass.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest
from tests.gathering import gathered
from tests.small_study import CENTRE, NOWHERE, POINTING, RUN, default_component, response_of

from skymix.domains.gamma.data import data_of
from skymix.domains.gamma.grids import data_grid
from skymix.domains.gamma.observe import marginalise_component, simulate_observation
from skymix.pipeline import parameter_priors
from skymix.sampling import sample_nested
from skymix.store.tables import mixture_of
from skymix.study import study_from_mapping
from skymix.study.stages import stage_settings

EVENTS, FITS, PLAUSIBLE = 150, 60, 1e-3
TREE = {"children": {"dark_matter": None, "rest": {"children": {"rays": None, "point": None}}}}
LEAVES = ("dark_matter", "rays", "point")
NAMES = ("fraction.dark_matter", "fraction.rays", "dark_matter.mass")


def study_with(counts, mass, events):
    """A shrunken Galactic Centre: 2 deg, 25 pixels, 10 energies."""
    energy = {"min": "0.3 TeV", "max": "30 TeV", "per_decade": 5}
    true = {"min": "0.15 TeV", "max": "60 TeV", "per_decade": 12}
    simulated = {
        "kind": "simulated",
        "pointing": POINTING,
        "livetime": "1 h",
        "counts": counts,
        "parameters": {"dark_matter.mass": f"{mass} TeV"},
    }
    scan = {"min": "0.8 TeV", "max": "15 TeV", "nodes": 16, "spacing": "log"}
    return study_from_mapping(
        {
            "name": "calibration",
            "region": {"centre": CENTRE, "width": "2 deg", "height": "2 deg"},
            "grids": {
                "energy": energy,
                "true_energy": true,
                "pixel": "0.4 deg",
                "subdivision": 4,
                "margin": "0.4 deg",
            },
            "observations": {RUN: {"events": simulated, "response": {"kind": "parametric"}}},
            "components": {
                "dark_matter": default_component("dark_matter") | {"mass": scan},
                "rays": {"kind": "cosmic_rays"},
                "point": default_component("central_source"),
            },
            "tree": TREE,
            "marginalisation": {"events": events, "tolerance": 1e-4},
        }
    )


def as_it_is(marginals):
    return marginals


def not_normalised(marginals):
    """Densities without the share that is detected, which depends on the mass."""
    return [
        replace(m, density=m.density * (m.expected_counts / m.expected_counts.max())[:, None])
        for m in marginals
    ]


def exchanged(marginals):
    """The tables of two leaves exchanged."""
    dark, rays, point = marginals
    return [dark, replace(rays, density=point.density), replace(point, density=rays.density)]


def smeared(marginals):
    """Cosmic rays spread once more: here over all pixels, as a response without end would."""
    dark, rays, point = marginals
    return [dark, replace(rays, density=np.full_like(rays.density, rays.density.mean())), point]


def mixtures(binned, damages, fits):
    """Truth and mixture likelihood of each simulated observation, for each damage."""
    rng = np.random.default_rng(21)
    events_kind = "binned" if binned else "unbinned"
    response = response_of(study_with({}, 1.0, events_kind))
    for fit in range(fits):
        dark, rays = rng.random(2)
        mass = 0.8 * (15 / 0.8) ** rng.random()
        weights = (dark, (1 - dark) * rays, (1 - dark) * (1 - rays))
        counts = dict(zip(LEAVES, EVENTS * np.array(weights), strict=True))
        study = study_with({k: float(v) for k, v in counts.items()}, mass, events_kind)
        events = simulate_observation(study, RUN, response, NOWHERE, fit)
        marginals = [
            marginalise_component(study, RUN, leaf, events, response, NOWHERE) for leaf in LEAVES
        ]
        datum = data_of(events, data_grid(study.grids, study.region), binned).event_datum
        tree = stage_settings(study, "likelihood")["tree"]
        yield (
            (dark, rays, mass),
            [
                mixture_of(
                    gathered(
                        [damage(marginals)], tree, parameter_priors(study), event_datum=[datum]
                    )
                )
                for damage in damages
            ],
        )


def share_below_truth(mixture, truth, seed):
    """Posterior probability below the true value of each parameter."""
    run = sample_nested(mixture, 100, 0.1, "single", "unif", seed)
    assert run.names == NAMES
    weight = np.exp(run.log_weight)
    return [(weight * (run.samples[:, j] < truth[j])).sum() for j in range(len(NAMES))]


def probabilities(shares):
    """KS probability of uniform shares, a parameter each."""
    return {
        name: kstest(column, "uniform").pvalue for name, column in zip(NAMES, shares.T, strict=True)
    }


@pytest.mark.slow
@pytest.mark.parametrize("binned", [True, False], ids=["binned", "unbinned"])
def test_truths_are_uniform_in_their_posteriors(binned):
    shares = np.array(
        [
            share_below_truth(mixture, truth, seed)
            for seed, (truth, (mixture,)) in enumerate(mixtures(binned, [as_it_is], FITS))
        ]
    )
    found = probabilities(shares)
    assert min(found.values()) > PLAUSIBLE, found


@pytest.mark.slow
def test_wrong_likelihoods_are_found():
    damages = [not_normalised, exchanged, smeared]
    shares = np.array(
        [
            [share_below_truth(mixture, truth, seed) for mixture in wrong]
            for seed, (truth, wrong) in enumerate(mixtures(True, damages, 30))
        ]
    )
    for k, damage in enumerate(damages):
        found = probabilities(shares[:, k])
        assert min(found.values()) < PLAUSIBLE / 10, (damage.__name__, found)

"""NUTS against nested sampling on the same problem, and what bad chains say."""

import numpy as np
import pytest
from scipy import stats

from skymix.errors import SkymixError
from skymix.mixture import (
    Data,
    LeafTable,
    Nuisance,
    ParameterAxis,
    RateMixture,
    TabulatedMixture,
    Tree,
)
from skymix.mixture.priors import LogNormal, LogUniform
from skymix.sampling import model_from_mixture, sample_nested, sample_nuts
from skymix.sampling.pymc_import import import_pymc


def fractions():
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(0, 1, 300), rng.uniform(-10, 10, 700)])
    widths = np.geomspace(0.3, 4, 12)
    line = LeafTable(
        "line", stats.norm(0, widths[:, None]).pdf(x), (ParameterAxis("s", widths, "log"),)
    )
    flat = LeafTable("flat", np.full((1, x.size), 0.05))
    tree = Tree.from_mapping({"children": {"line": None, "flat": None}})
    return TabulatedMixture(tree, [line, flat], np.ones(x.size), {"s": LogUniform(0.3, 4)})


def rates():
    """Two data sets with a level of their background each, and the flux of a shared source."""
    rng = np.random.default_rng(4)
    widths = np.geomspace(0.3, 4, 12)
    dataset = np.repeat([0, 1], [400, 600])
    x = np.concatenate(
        [
            rng.normal(0, 1, 100),
            rng.uniform(-10, 10, 300),
            rng.normal(0, 1, 200),
            rng.uniform(-10, 10, 400),
        ]
    )
    expected = {
        "line": np.array([[90.0], [180.0]]) * np.ones(12),
        "flat": np.array([[320.0], [410]]),
    }
    share = {name: counts / counts.sum(axis=0) for name, counts in expected.items()}
    line = stats.norm(0, widths[:, None]).pdf(x) * share["line"][dataset].T
    axes = (ParameterAxis("s", widths, "log"),)
    level = LogNormal(1.0, 0.1)
    return RateMixture(
        Tree.from_mapping({"children": {"line": None, "flat": None}}),
        [LeafTable("line", line, axes), LeafTable("flat", 0.05 * share["flat"][dataset].T)],
        expected,
        Data(np.ones(1000), dataset),
        {"line": LogUniform(0.1, 10), "flat": 1.0},
        [Nuisance(f"level.{o}", ("flat",), (o,), level) for o in (0, 1)],
        {"s": LogUniform(0.3, 4)},
    )


@pytest.mark.parametrize(("make", "backend"), [(fractions, "nutpie"), (rates, "pymc")])
def test_mixture_agrees_with_nested_sampling(make, backend):
    mixture = make()
    nested = sample_nested(mixture, 400, 0.1, "single", "unif", 1)
    weight = np.exp(nested.log_weight)
    mean = weight @ nested.samples
    sd = np.sqrt(weight @ (nested.samples - mean) ** 2)
    run = sample_nuts(model_from_mixture(mixture), 2, 500, 1000, 0.9, backend, 1, mixture.names)
    assert tuple(run.variables) == mixture.names
    draws = np.stack([run.variables[name].ravel() for name in mixture.names], axis=-1)
    error = sd * np.sqrt(1 / nested.effective_size + 1 / min(run.ess_bulk.values()))
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 4 * error)
    assert draws.std(axis=0) == pytest.approx(sd, rel=0.15)
    assert run.divergences == 0


def test_chains_in_two_modes_say_so():
    pm = import_pymc()
    with pm.Model() as model:
        x = pm.Uniform("x", -20, 20)
        pm.Potential("modes", pm.math.logaddexp(-50 * (x - 10) ** 2, -50 * (x + 10) ** 2))
    run = sample_nuts(model, 4, 200, 200, 0.8, "pymc", 0)
    text = " ".join(run.warnings)
    assert "chains do not agree on x" in text
    assert "effective sample size of x" in text


def test_discrete_variables_are_refused():
    pm = import_pymc()
    with pm.Model() as model:
        pm.Poisson("k", 3)
    with pytest.raises(SkymixError, match=r"k are discrete.*pm.Mixture"):
        sample_nuts(model, 2, 100, 100, 0.8, "pymc", 0)

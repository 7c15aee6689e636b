"""The mixture likelihood against a logaddexp loop over leaves and against scipy's logsumexp.

Four leaves, one of them on 121 grid nodes. The baselines take log tables and the nearest node;
skymix interpolates. Each ratio is baseline over skymix in microseconds a parameter point.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy.special import logsumexp

from benchmarks.timing import median_seconds
from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping

NODES = 121
BATCH = 512


def problem(n: int, rng: np.random.Generator) -> tuple[TabulatedMixture, np.ndarray]:
    """Mixture of n data and its log table: three fixed rows, then the nodes."""
    log_table = rng.normal(-8, 2, (3 + NODES, n))
    masses = np.geomspace(0.1, 100, NODES)
    tree = {"children": {"dm": None, "rest": {"children": {"a": None, "b": None, "c": None}}}}
    table = np.exp(log_table)
    leaves = [LeafTable(name, table[k : k + 1]) for k, name in enumerate("abc")]
    leaves.append(LeafTable("dm", table[3:], (ParameterAxis("mass", masses, "log"),)))
    prior = prior_from_mapping({"kind": "log_uniform", "lower": 0.1, "upper": 100})
    return TabulatedMixture(Tree.from_mapping(tree), leaves, np.ones(n), {"mass": prior}), log_table


def loop(log_table: np.ndarray, log_weights: np.ndarray, node: int) -> float:
    """One point by logaddexp, leaf after leaf."""
    total = log_weights[0] + log_table[0]
    for k in (1, 2):
        total = np.logaddexp(total, log_weights[k] + log_table[k])
    return float(np.logaddexp(total, log_weights[3] + log_table[3 + node]).sum())


def scipy_point(log_table: np.ndarray, log_weights: np.ndarray, node: int) -> float:
    """One point by scipy's logsumexp."""
    rows = log_table[[0, 1, 2, 3 + node]]
    return float(logsumexp(rows + log_weights[:, None], axis=0).sum())


def run() -> Iterator[tuple[str, float, str]]:
    """Figures of the mixture likelihood."""
    rng = np.random.default_rng(0)
    log_weights = np.log(rng.dirichlet(np.ones(4)))
    for label, n, repeats in (("n480", 480, 41), ("n1e5", 100_000, 9)):
        mixture, log_table = problem(n, rng)
        theta = mixture.prior_transform(rng.random((BATCH, mixture.ndim)))
        baseline = median_seconds(partial(loop, log_table, log_weights, 60), repeats)
        batched = median_seconds(partial(mixture.log_likelihood, theta), repeats) / BATCH
        single = median_seconds(partial(mixture.log_likelihood, theta[:1]), repeats)
        yield f"mixture.batched_microseconds_{label}", 1e6 * batched, "us"
        yield f"mixture.batched_ratio_{label}", baseline / batched, ""
        yield f"mixture.single_ratio_{label}", baseline / single, ""
        if n > 1000:
            other = median_seconds(partial(scipy_point, log_table, log_weights, 60), repeats)
            yield f"mixture.scipy_ratio_{label}", other / batched, ""

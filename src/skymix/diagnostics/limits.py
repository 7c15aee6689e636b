"""Limits of several channels and simulations joined."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from skymix.errors import DataError
from skymix.store.limits import Limits

_ALIKE = ("fit", "component", "quantity", "amplitude", "unit", "level", "largest")
_OF_CHANNELS = [
    field.name for field in fields(Limits) if field.metadata.get("dims", ("",))[0] == "channel"
]


def joined(parts: Sequence[Limits]) -> Limits:
    """Limits of all channels with all simulations, from those of single jobs.

    Channels keep the order in which they come, simulations are sorted by their numbers.

    Raises
    ------
    DataError
        If the parts do not belong together, or the channels have not the same simulations.
    """
    first = parts[0]
    for part in parts:
        alike = all(getattr(part, name) == getattr(first, name) for name in _ALIKE)
        if not (alike and np.array_equal(part.mass, first.mass)):
            raise DataError(
                f"limits of '{part.component}' in '{part.fit}' and '{first.component}' in"
                f" '{first.fit}' do not belong together; delete them and run again"
            )
    channels = dict.fromkeys(channel for part in parts for channel in part.channels)
    whole = [_of_channel([p for p in parts if p.channels == (name,)]) for name in channels]
    if any(not np.array_equal(w.realisation, whole[0].realisation) for w in whole):
        raise DataError("limits: the channels have not the same simulations; give all parts")
    rows: dict[str, Any] = {
        name: np.concatenate([getattr(w, name) for w in whole]) for name in _OF_CHANNELS
    }
    return replace(whole[0], channels=tuple(channels), **rows)


def _of_channel(parts: Sequence[Limits]) -> Limits:
    """Limits of one channel, whose parts have different simulations; the data's are the first's."""
    number = np.concatenate([part.realisation for part in parts])
    order = np.argsort(number)
    if np.unique(number).size < number.size:
        raise DataError(f"limits in channel '{parts[0].channels[0]}': a simulation is given twice")
    return replace(
        parts[0],
        realisation=number[order],
        expected=np.concatenate([part.expected for part in parts], axis=1)[:, order],
        expected_log_bayes=np.concatenate([p.expected_log_bayes for p in parts], axis=1)[:, order],
    )

"""Likelihood tables of marginals that are in memory, gathered through files as a study's are."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.small_study import event_list

from skymix.store import LikelihoodTables, Marginals, Provenance, read_product, write_product
from skymix.store.gather import Model, Observed, ObservedData, gather_tables

NOTHING = Provenance({})


def gathered(
    observations: Sequence[Sequence[Marginals]],
    tree,
    priors,
    *,
    event_datum=None,
    rates=None,
    cells=None,
    alike=None,
    events=None,
    modelled=False,
    scales=None,
) -> LikelihoodTables:
    """Tables of observations with marginals of all leaves; extended if there are `rates`.

    `event_datum`, `cells`, `alike`, `events` and `scales` have an entry an observation; without
    them a datum is an event, nothing is binned or merged, and the events are recorded.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, observed = Path(name), []
        for o, leaves in enumerate(observations):
            first = leaves[0]
            size = first.multiplicity.size
            datum = np.arange(size) if event_datum is None else event_datum[o]
            some = np.ones(datum.size)
            listed = event_list((0, 0), some, some, some) if events is None else events[o]
            path = folder / f"{o}.h5"
            write_product(path, replace(listed, observation=first.observation), NOTHING)
            files = tuple(folder / f"{o}-{m.component}.h5" for m in leaves)
            for file, marginals in zip(files, leaves, strict=True):
                write_product(file, marginals, NOTHING)
            data = ObservedData(datum, first.multiplicity, None if cells is None else cells[o])
            same = None if alike is None else alike[o]
            scale = "" if scales is None else scales[o]
            observed.append(
                Observed(first.observation, path, files, lambda data=data: data, same, scale)
            )
        shape = len(observations), len(observations[0])
        kind = "fractions" if rates is None else "extended"
        model = Model(tree, priors, kind, rates or {}, np.full(shape, modelled).tolist())
        gather_tables(folder / "likelihood.h5", observed, model, NOTHING)
        return read_product(folder / "likelihood.h5", LikelihoodTables)

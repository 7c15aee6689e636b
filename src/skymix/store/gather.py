"""From the marginals of all components and observations to the tables of one likelihood."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skymix.axes import FloatArray, IntArray
from skymix.errors import DataError
from skymix.mixture import Tree
from skymix.store.base import Provenance, read_product, read_provenance
from skymix.store.likelihood import LikelihoodTables
from skymix.store.marginals import Marginals
from skymix.store.rows import LeafRows, RowAxes
from skymix.store.stream import ProductStream, stream_product
from skymix.store.truth import read_truth, truth_of_fractions, truth_of_rates

_SAME_RATIO = 1e-9  # of expected counts, within which observations are alike but for exposure


@dataclass(frozen=True, eq=False)
class ObservedData:
    """The data of one observation as its marginals saw them.

    Parameters
    ----------
    event_datum : (nevent,) datum of each event
    multiplicity : (ndatum,) number of events of each datum
    cell : (ndatum,) reconstructed cell of each datum; None if events are not binned
    """

    event_datum: IntArray
    multiplicity: FloatArray
    cell: IntArray | None = None


@dataclass(frozen=True, eq=False)
class Observed:
    """An observation to gather.

    Parameters
    ----------
    name : its name
    events : file of its events
    marginals : file of each leaf, in the order of the tree
    data : reads its data when they are needed
    alike : observations with equal values have the same densities, and may be merged; None never
    scale : parameter of the response that its marginals run over beside those of the components
    """

    name: str
    events: Path
    marginals: tuple[Path, ...]
    data: Callable[[], ObservedData]
    alike: Any = None
    scale: str = ""


@dataclass(frozen=True)
class Model:
    """What the likelihood is beside its tables, as JSON values.

    Parameters
    ----------
    tree : the study's tree
    priors : prior of each scanned parameter, by name
    kind : "fractions" or "extended"
    rates : amplitudes and nuisances of an extended likelihood, as `skymix.study.rates` gives them
    modelled : (observation, leaf) whether simulated counts are those of the study's amplitude
    """

    tree: Mapping[str, Any]
    priors: Mapping[str, Mapping[str, Any]]
    kind: str
    rates: Mapping[str, Any]
    modelled: Sequence[Sequence[bool]]


def gather_tables(
    path: Path,
    observed: Sequence[Observed],
    model: Model,
    provenance: Provenance,
) -> None:
    """Write the tables of a likelihood; one file of marginals is in memory at a time.

    Parameters
    ----------
    path : file to write
    observed : the observations
    model : the likelihood
    provenance : of the product

    Raises
    ------
    DataError
        If the marginals are of different data, or an event has no density in any component.
    """
    axes = LeafRows.of([(o.scale, o.marginals) for o in observed])
    expected = np.array([axes.expected(o.scale, o.marginals) for o in observed])
    axes.require_expected(
        expected, [o.name for o in observed], observed[0].marginals, model.kind == "extended"
    )
    truth = _truth(observed, axes, model, expected)
    dataset, order = _datasets(observed, expected)
    observed, rows = [observed[o] for o in order], expected[order]
    with stream_product(path, LikelihoodTables, provenance, len(observed)) as stream:
        gathering = _Gathering(stream, observed, axes, rows, dataset, model)
        for number in range(len(observed)):
            gathering.add(number)
        gathering.finish()
        stream.set(
            observations=tuple(o.name for o in observed),
            dataset=dataset,
            expected_counts=rows,
            tree=json.dumps(model.tree),
            priors=json.dumps(model.priors),
            kind=model.kind,
            rates=json.dumps(model.rates),
            truth=json.dumps(truth),
        )


def _truth(
    observed: Sequence[Observed], axes: LeafRows, model: Model, expected: FloatArray
) -> dict[str, float]:
    truth = read_truth(
        [o.events for o in observed],
        [str(read_provenance(file)["component"]) for file in observed[0].marginals],
        axes.leaves,
        expected,
        np.array(model.modelled),
        # Events are simulated with the energies of the response.
        {o.scale: 1.0 for o in observed if o.scale},
    )
    if truth is None:
        return {}
    if model.kind == "fractions":
        return truth_of_fractions(truth, model.tree)
    return truth_of_rates(truth, model.tree, model.rates, [o.name for o in observed])


class _Gathering:
    """The tables while observations are added to them."""

    def __init__(
        self,
        stream: ProductStream,
        observed: Sequence[Observed],
        axes: LeafRows,
        expected: FloatArray,
        dataset: IntArray,
        model: Model,
    ) -> None:
        self._stream, self._observed, self._dataset = stream, observed, dataset
        self._axes = axes
        self._total = expected.sum(axis=0)
        self._shares = expected / np.where(self._total > 0, self._total, 1.0)
        self._weights = _middle_weights(model)
        self._columns = _Columns(0)
        self._leaves: list[str] = []
        self._events: list[float] = []
        self._truncation = self._binning = self._interpolation = 0.0

    def add(self, number: int) -> None:
        """Add the densities of an observation, with a column for each datum that is new."""
        observed = self._observed[number]
        if number and self._dataset[number] != self._dataset[number - 1]:
            self._close_dataset(int(self._dataset[number - 1]))
        data = observed.data()
        start = self._columns.stop
        columns, new = self._columns.place(data)
        neglected, mixed = np.zeros(data.multiplicity.size), np.zeros(data.multiplicity.size)
        row = 0
        for leaf, file in enumerate(observed.marginals):
            m = read_product(file, Marginals)
            self._check(m, leaf, observed, data.multiplicity)
            density = m.density[self._axes.rows(observed.scale, leaf)]
            part = slice(row, row + density.shape[0])
            self._stream.append_rows("density", part, self._total.size, density[:, new], start)
            # Weight of the leaf here: as the prior has it, or as the study's amplitudes do.
            share = self._shares[number, part]
            weight = (
                self._weights[m.component] if self._weights else float(self._total[part].mean())
            )
            neglected += weight * share.mean() * m.truncation
            mixed += weight / share.size * (share @ density)
            self._binning = max(self._binning, m.binning_error)
            self._interpolation = max(self._interpolation, m.interpolation_error)
            row = part.stop
        _require_explained(observed.name, mixed, data.event_datum)
        self._events.append(float(data.multiplicity.sum()))
        self._truncation += float(np.sum(data.multiplicity * neglected / mixed))
        self._stream.append("event_datum", columns[data.event_datum])
        self._stream.append("event_observation", np.full(data.event_datum.size, number))

    def finish(self) -> None:
        """Write what is known when all observations are in."""
        self._close_dataset(int(self._dataset[-1]))
        axes = self._axes.leaves
        nodes = [values for a in axes for values in a.nodes]
        self._stream.set(
            leaves=tuple(self._leaves),
            leaf_rows=np.array([a.size for a in axes]),
            leaf_parameters=np.array([len(a.parameters) for a in axes]),
            parameters=tuple(p for a in axes for p in a.parameters),
            spacings=tuple(s for a in axes for s in a.spacings),
            units=tuple(u for a in axes for u in a.units),
            nodes=np.array([values.size for values in nodes], dtype=np.int64),
            node_values=np.concatenate([np.empty(0), *nodes]),
            events=np.array(self._events),
            truncation_error=self._truncation,
            binning_error=self._binning,
            interpolation_error=self._interpolation,
        )

    def _close_dataset(self, number: int) -> None:
        """Write what all observations of a data set add to."""
        counts = self._columns.multiplicity
        self._stream.append("multiplicity", counts)
        self._stream.append("datum_dataset", np.full(counts.size, number))
        self._columns = _Columns(self._columns.stop)

    def _check(self, m: Marginals, leaf: int, observed: Observed, multiplicity: FloatArray) -> None:
        """Refuse marginals of another observation, of other data or of other parameter nodes."""
        if leaf == len(self._leaves):
            self._leaves.append(m.component)
        alike = m.observation == observed.name and np.array_equal(m.multiplicity, multiplicity)
        alike &= m.component == self._leaves[leaf]
        if not alike or not RowAxes.of(m).same(self._axes.own[observed.scale][leaf]):
            raise DataError(
                f"marginals of {m.component} in observation {m.observation} are of other data or"
                f" parameters than the rest of {observed.name}; delete them and run again"
            )


class _Columns:
    """Columns of a data set: one a datum, or one a cell that its observations share.

    Parameters
    ----------
    start : the first
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self._cell = np.empty(0, dtype=np.int64)
        self.multiplicity = np.empty(0)

    @property
    def stop(self) -> int:
        """The next column."""
        return self._start + self._cell.size

    def place(self, data: ObservedData) -> tuple[IntArray, NDArray[np.bool_]]:
        """Column of each datum of an observation, and whether it is new."""
        cell = np.arange(data.multiplicity.size) if data.cell is None else data.cell
        new = ~np.isin(cell, self._cell)
        self._cell = np.concatenate([self._cell, cell[new]])
        order = np.argsort(self._cell)
        column = order[np.searchsorted(self._cell, cell, sorter=order)]
        self.multiplicity = np.pad(self.multiplicity, (0, int(new.sum())))
        self.multiplicity[column] += data.multiplicity
        return self._start + column, new


def _datasets(observed: Sequence[Observed], expected: FloatArray) -> tuple[IntArray, IntArray]:
    """Data set of each observation, ascending, and which observation stands at each place.

    Observations are merged if they are alike and the expected counts of all components have one
    ratio: then their sum is as good as the two.
    """
    founders: list[int] = []
    dataset = np.empty(len(observed), dtype=np.int64)
    known: dict[str, list[int]] = {}
    for o, item in enumerate(observed):
        candidates = [] if item.alike is None else known.setdefault(repr(item.alike), [])
        same = (s for s in candidates if _proportional(expected[founders[s]], expected[o]))
        found = next(same, None)
        if found is None:
            found = len(founders)
            founders.append(o)
            candidates.append(found)
        dataset[o] = found
    order = np.argsort(dataset, kind="stable")
    return dataset[order], order


def _proportional(a: FloatArray, b: FloatArray) -> bool:
    return bool(np.allclose(a * b.sum(), b * a.sum(), rtol=_SAME_RATIO, atol=0))


def _middle_weights(model: Model) -> dict[str, float] | None:
    """Weight of each leaf at the middle of the prior; none if the rates decide."""
    if model.kind == "extended":
        return None
    tree = Tree.from_mapping(model.tree)
    middle = tree.weights(tree.transform(np.full((1, tree.ndim), 0.5)))[0]
    return dict(zip(tree.leaves, middle.tolist(), strict=True))


def _require_explained(observation: str, mixed: FloatArray, event_datum: IntArray) -> None:
    unexplained = np.flatnonzero(mixed <= 0)
    if unexplained.size:
        event = int(np.flatnonzero(event_datum == unexplained[0])[0])
        raise DataError(
            f"observation {observation}: {unexplained.size} data (first: event row {event}) have"
            " zero density under every component; widen the true energies or the margin of the"
            " grids, or cut these events"
        )

"""Which row of a component's marginals belongs to a row of the likelihood's table.

The table of a leaf runs over all parameters that its marginals have in any observation: those of
the component, and those of the responses, which differ among observations.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.errors import DataError
from skymix.store.base import read_arrays, read_provenance
from skymix.store.marginals import Marginals


@dataclass(frozen=True, eq=False)
class RowAxes:
    """Parameters that rows run over, the last one fastest.

    Parameters
    ----------
    parameters, spacings, units : of each parameter
    nodes : values of each parameter
    """

    parameters: tuple[str, ...]
    spacings: tuple[str, ...]
    units: tuple[str, ...]
    nodes: tuple[FloatArray, ...]

    @classmethod
    def of(cls, marginals: Marginals) -> "RowAxes":
        """Those of some marginals."""
        m = marginals
        return cls(m.parameters, m.spacings, m.units, _split(m.nodes, m.node_values))

    @classmethod
    def of_file(cls, path: Path) -> "RowAxes":
        """Those of a file of marginals."""
        root, (nodes, values) = read_provenance(path), read_arrays(path, "nodes", "node_values")
        parameters, spacings, units = (
            tuple(json.loads(root[key])) for key in ("parameters", "spacings", "units")
        )
        return cls(parameters, spacings, units, _split(nodes, values))

    @classmethod
    def union(cls, several: Iterable["RowAxes"]) -> "RowAxes":
        """All parameters, each where it was first seen."""
        found: dict[str, tuple[str, str, FloatArray]] = {}
        for axes in several:
            rest = zip(axes.spacings, axes.units, axes.nodes, strict=True)
            for name, axis in zip(axes.parameters, rest, strict=True):
                found.setdefault(name, axis)
        spacings, units, nodes = zip(*found.values(), strict=True) if found else ((), (), ())
        return cls(tuple(found), spacings, units, nodes)

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(np.prod([values.size for values in self.nodes]))

    def same(self, other: "RowAxes") -> bool:
        """Whether these are the same parameters with the same nodes."""
        names = ("parameters", "spacings", "units")
        return all(getattr(self, name) == getattr(other, name) for name in names) and all(
            np.array_equal(a, b) for a, b in zip(self.nodes, other.nodes, strict=True)
        )

    def values_at(self, row: int) -> str:
        """Words for the values of the parameters in a row."""
        place = np.unravel_index(row, [values.size for values in self.nodes])
        named = zip(self.parameters, self.nodes, place, strict=True)
        text = ", ".join(f"{name} = {values[k]:g}" for name, values, k in named)
        return f" at {text}" if text else ""

    def rows_in(self, part: "RowAxes") -> IntArray:
        """Row of a table with some of these parameters, for each row of this one, (nrow,).

        Raises
        ------
        DataError
            If a parameter has other nodes there.
        """
        index = np.indices([values.size for values in self.nodes]).reshape(-1, self.size)
        row = np.zeros(self.size, dtype=np.int64)
        for name, nodes in zip(part.parameters, part.nodes, strict=True):
            here = self.parameters.index(name)
            if not np.array_equal(nodes, self.nodes[here]):
                raise DataError(
                    f"marginals: the scanned parameter '{name}' has other nodes in one observation"
                    " than in another; delete the marginals and run again"
                )
            row = row * nodes.size + index[here]
        return row


class LeafRows:
    """Rows of the leaves' tables, and where they are in the marginals of each observation.

    Parameters
    ----------
    own : of the marginals of each leaf, by the parameter of the response of an observation
    """

    def __init__(self, own: Mapping[str, Sequence[RowAxes]]) -> None:
        self.own = own
        self.leaves = [RowAxes.union(parts) for parts in zip(*own.values(), strict=True)]
        self._rows = {
            scale: [
                slice(None) if whole.same(part) else whole.rows_in(part)
                for whole, part in zip(self.leaves, parts, strict=True)
            ]
            for scale, parts in own.items()
        }

    @classmethod
    def of(cls, observed: Sequence[tuple[str, Sequence[Path]]]) -> "LeafRows":
        """From the parameter of the response and the marginals of each observation.

        Only the first observation with each parameter is looked at.
        """
        first = dict(reversed(observed))
        return cls({scale: [RowAxes.of_file(f) for f in files] for scale, files in first.items()})

    def rows(self, scale: str, leaf: int) -> IntArray | slice:
        """Row of an observation's marginals for each row of a leaf's table."""
        return self._rows[scale][leaf]

    def expected(self, scale: str, files: Sequence[Path]) -> FloatArray:
        """Expected counts of all rows in an observation, (nrow,).

        Raises
        ------
        DataError
            If its marginals have other rows than those of the first such observation.
        """
        parts = [read_arrays(file, "expected_counts")[0] for file in files]
        if any(c.size != axes.size for c, axes in zip(parts, self.own[scale], strict=True)):
            raise DataError("marginals of different scans; delete them and run again")
        return np.concatenate([c[self.rows(scale, k)] for k, c in enumerate(parts)])

    def require_expected(
        self,
        expected: FloatArray,
        observations: Sequence[str],
        files: Sequence[Path],
        anywhere: bool,
    ) -> None:
        """Refuse a leaf of which no counts are expected.

        A rate may be zero in some observations or at some parameters; a share in the events needs
        a density at all of them.

        Parameters
        ----------
        expected : (nobservation, nrow)
        files : marginals of each leaf, to name it
        anywhere : whether counts in one observation at some parameters are enough
        """
        ends = np.cumsum([axes.size for axes in self.leaves])[:-1]
        for file, axes, counts in zip(
            files, self.leaves, np.split(expected, ends, axis=1), strict=True
        ):
            missing = np.argwhere(~(counts > 0))
            if not missing.size or (anywhere and len(missing) < counts.size):
                continue
            where = "any observation" if anywhere else f"observation {observations[missing[0, 0]]}"
            at = "" if anywhere else axes.values_at(int(missing[0, 1]))
            raise DataError(
                f"component {read_provenance(file)['component']}: no counts are expected in"
                f" {where}{at}; narrow the scan or widen the data's energies and region"
            )


def _split(nodes: IntArray, values: FloatArray) -> tuple[FloatArray, ...]:
    return tuple(np.split(values, np.cumsum(nodes)[:-1])) if nodes.size else ()

"""Rows of a component's table: the parameter values at the nodes of its scan and between them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.domains.gamma.components.base import Parameter


@dataclass(frozen=True, eq=False)
class Rows:
    """Parameter values of the rows of a table.

    Parameters
    ----------
    parameters : all scanned parameters of the component
    values : (nrow,) value of each parameter in each row, by name
    """

    parameters: tuple[Parameter, ...]
    values: Mapping[str, FloatArray]
    size: int

    @classmethod
    def grid(cls, parameters: tuple[Parameter, ...]) -> "Rows":
        """All combinations of the nodes, the last parameter fastest."""
        mesh = np.meshgrid(*(p.nodes for p in parameters), indexing="ij")
        values = {p.name: m.ravel() for p, m in zip(parameters, mesh, strict=True)}
        return cls(parameters, values, int(np.prod([p.nodes.size for p in parameters])))

    @classmethod
    def midpoints(cls, parameters: tuple[Parameter, ...]) -> "Rows":
        """For each parameter in turn, its midpoints between nodes with the nodes of the others."""
        rows = cls.grid(parameters).at(slice(0, 0))
        for k, moved in enumerate(parameters):
            nodes = moved.nodes
            middle = (
                np.sqrt(nodes[1:] * nodes[:-1])
                if moved.spacing == "log"
                else 0.5 * (nodes[1:] + nodes[:-1])
            )
            shifted = (*parameters[:k], replace(moved, nodes=middle), *parameters[k + 1 :])
            rows = rows.joined(cls.grid(shifted))
        return rows

    def at(self, part: slice) -> "Rows":
        """Some of the rows."""
        values = {name: column[part] for name, column in self.values.items()}
        return Rows(self.parameters, values, len(range(self.size)[part]))

    def joined(self, other: "Rows") -> "Rows":
        """These rows, then those of another table of the same parameters."""
        values = {
            name: np.concatenate([column, other.values[name]])
            for name, column in self.values.items()
        }
        return Rows(self.parameters, values, self.size + other.size)

    def by_sky(self) -> Iterator[tuple[np.ndarray, dict[str, float], dict[str, FloatArray]]]:
        """Groups of rows that share a morphology: (rows, sky parameters, spectral parameters)."""
        sky = [p.name for p in self.parameters if p.shapes_sky]
        spectral = [p.name for p in self.parameters if not p.shapes_sky]
        keys = np.array([self.values[name] for name in sky]).reshape(len(sky), self.size).T
        for key in np.unique(keys, axis=0) if sky else [np.empty(0)]:
            rows = np.flatnonzero((keys == key).all(axis=1))
            yield (
                rows,
                dict(zip(sky, map(float, key), strict=True)),
                {name: self.values[name][rows] for name in spectral},
            )

    @staticmethod
    def neighbours(parameters: tuple[Parameter, ...]) -> tuple[IntArray, IntArray]:
        """Rows of `grid` below and above each row of `midpoints`."""
        shape = tuple(p.nodes.size for p in parameters)
        row = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        pairs = [
            (np.delete(row, -1, axis=k).ravel(), np.delete(row, 0, axis=k).ravel())
            for k in range(len(parameters))
        ]
        empty = np.empty(0, dtype=np.int64)
        return (
            np.concatenate([empty, *(below for below, _ in pairs)]),
            np.concatenate([empty, *(above for _, above in pairs)]),
        )


def consecutive(rows: IntArray) -> IntArray | slice:
    """The rows as a slice where they are one, which spares copies."""
    if np.array_equal(rows, np.arange(rows[0], rows[0] + rows.size)):
        return slice(int(rows[0]), int(rows[0]) + rows.size)
    return rows

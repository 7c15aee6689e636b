"""Reconstructed energies that are off by a common factor: one more parameter of the marginals.

If the instrument reports s times the energy that its response speaks of, then photons have

    p(E_r | s) = p_0(E_r / s) / s,    mu(s) = integral of mu_0 over the data's energies / s,

so that each node of s is a marginalisation at scaled energies. A background that was measured in
the energies that the instrument reports does not depend on s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skymix.axes import EnergyAxis, FloatArray, Grid
from skymix.domains.gamma.components.parameters import scan_nodes
from skymix.domains.gamma.data import Data
from skymix.domains.gamma.exposure import Exposure
from skymix.store.marginals import Marginals
from skymix.study.parameters import Scan


@dataclass(frozen=True, eq=False)
class Observed:
    """What is marginalised over: the data and the exposure."""

    data: Data
    exposure: Exposure

    def at(self, scale: float) -> "Observed":
        """The same in energies of the response, if the instrument reports `scale` times them."""
        grid = self.exposure.data
        energy = EnergyAxis(grid.energy.edges / scale)
        return Observed(
            replace(self.data, energy=self.data.energy / scale),
            replace(self.exposure, data=Grid(energy, grid.sky)),
        )


def over_scales(
    name: str,
    scan: "Scan[float]",
    observed: Observed,
    marginalise: Callable[[Observed], Sequence[Marginals]],
) -> list[Marginals]:
    """Marginals of each component with the energy scale as their last parameter.

    Parameters
    ----------
    name, scan : of the energy scale
    observed : at the energies that the instrument reports
    marginalise : marginals of components at given energies
    """
    nodes = scan_nodes(scan)
    found = [marginalise(observed.at(float(scale))) for scale in nodes]
    return [_joined(name, scan, nodes, parts) for parts in zip(*found, strict=True)]


def _joined(
    name: str, scan: "Scan[float]", nodes: FloatArray, parts: Sequence[Marginals]
) -> Marginals:
    """Marginals of one component at all nodes, their rows with the scale as the fastest."""
    first = parts[0]

    def rows(field: str) -> FloatArray:
        stacked = np.stack([getattr(part, field) for part in parts], axis=1)
        return stacked.reshape(-1, *stacked.shape[2:])

    density = np.stack([p.density / s for p, s in zip(parts, nodes, strict=True)], axis=1)
    error = _interpolation_error(density, first.multiplicity)
    return replace(
        first,
        parameters=(*first.parameters, name),
        spacings=(*first.spacings, scan.spacing),
        units=(*first.units, ""),
        nodes=np.append(first.nodes, nodes.size),
        node_values=np.append(first.node_values, nodes),
        density=density.reshape(-1, density.shape[2]),
        expected_counts=rows("expected_counts"),
        counts_map=rows("counts_map"),
        counts_spectrum=rows("counts_spectrum"),
        truncation=np.max([p.truncation / s for p, s in zip(parts, nodes, strict=True)], axis=0),
        binning_error=max(part.binning_error for part in parts),
        interpolation_error=max(error, *(part.interpolation_error for part in parts)),
    )


def _interpolation_error(density: FloatArray, multiplicity: FloatArray) -> float:
    """Relative error halfway between nodes of the scale, density (nrow, nscale, ndatum).

    A node is compared with the mean of its neighbours. Their distance is twice that of the nodes,
    and linear interpolation is of second order, so that a quarter of the difference is left.
    """
    exact = density[:, 1:-1]
    change = np.abs(0.5 * (density[:, :-2] + density[:, 2:]) - exact) @ multiplicity
    size = exact @ multiplicity
    share = np.divide(change, size, out=np.zeros_like(size), where=size > 0)
    return 0.25 * float(np.max(share, initial=0.0))

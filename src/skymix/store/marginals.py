"""Densities of one component at the data of one observation, on the grid of its parameters."""

from dataclasses import dataclass
from typing import ClassVar

from skymix.axes import FloatArray, IntArray
from skymix.store.base import array, scalar


@dataclass(frozen=True, eq=False)
class Marginals:
    """Detected density of a component, normalised over the observed data space.

    Rows of `density` run over the parameter grid, last parameter fastest. Nodes of all
    parameters are concatenated in `node_values`; `nodes` holds how many belong to each.
    `counts_map` and `counts_spectrum` are the shares of the expected counts in each
    reconstructed pixel and energy cell; each row adds up to 1.
    """

    schema_name: ClassVar[str] = "marginals"
    schema_version: ClassVar[int] = 1

    parameters: tuple[str, ...] = scalar()
    spacings: tuple[str, ...] = scalar()  # "linear" or "log", one a parameter
    units: tuple[str, ...] = scalar()
    nodes: IntArray = array("", ("parameter",), "i8")
    node_values: FloatArray = array("", ("all_nodes",))
    density: FloatArray = array("TeV-1 sr-1", ("row", "datum"))
    multiplicity: FloatArray = array("", ("datum",))
    expected_counts: FloatArray = array("", ("row",))  # at the component's own amplitude
    counts_map: FloatArray = array("", ("row", "lat", "lon"))
    counts_spectrum: FloatArray = array("", ("row", "energy"))
    truncation: FloatArray = array("TeV-1 sr-1", ("datum",))  # bound on what the scan left out
    binning_error: float = scalar()  # mean change of the density, of the worst row
    interpolation_error: float = scalar()  # the same halfway between nodes
    observation: str = scalar()
    component: str = scalar()

"""Tables of one likelihood: all components at all data of the observations that are combined."""

from dataclasses import dataclass
from typing import ClassVar

from skymix.axes import FloatArray, IntArray
from skymix.store.base import array, scalar


@dataclass(frozen=True, eq=False)
class LikelihoodTables:
    """Densities of all leaves, rows of leaf after leaf, data of observation after observation.

    Each density is normalised over the data space of its observation. Observations whose cells
    are merged form one data set: `dataset` says which observations share one, and
    `datum_dataset` whose each datum is. `leaf_rows` says how many rows belong to each leaf.
    `parameters`, `spacings`, `units`, `nodes` and `node_values` describe the parameters leaf by
    leaf as `Marginals` does; `leaf_parameters` says how many belong to each leaf. `event_datum`
    gives the column of each event, in the order of the event files.
    """

    schema_name: ClassVar[str] = "likelihood"
    schema_version: ClassVar[int] = 2

    leaves: tuple[str, ...] = scalar()
    observations: tuple[str, ...] = scalar()
    leaf_rows: IntArray = array("", ("leaf",), "i8")
    leaf_parameters: IntArray = array("", ("leaf",), "i8")
    parameters: tuple[str, ...] = scalar()
    spacings: tuple[str, ...] = scalar()
    units: tuple[str, ...] = scalar()
    nodes: IntArray = array("", ("parameter",), "i8")
    node_values: FloatArray = array("", ("all_nodes",))
    density: FloatArray = array("TeV-1 sr-1", ("row", "datum"))
    multiplicity: FloatArray = array("", ("datum",))
    dataset: IntArray = array("", ("observation",), "i8")
    datum_dataset: IntArray = array("", ("datum",), "i8")
    event_datum: IntArray = array("", ("event",), "i8")
    event_observation: IntArray = array("", ("event",), "i8")
    events: FloatArray = array("", ("observation",))  # number of each observation's
    expected_counts: FloatArray = array("", ("observation", "row"))
    truncation_error: float = scalar()  # bound on the error of ln L at the prior mean weights
    binning_error: float = scalar()  # largest of the marginals'
    interpolation_error: float = scalar()  # largest of the marginals'
    kind: str = scalar()  # "fractions" or "extended"
    rates: str = scalar()  # JSON of an extended likelihood's amplitudes and nuisances, else "{}"
    tree: str = scalar()  # JSON of the study's tree
    priors: str = scalar()  # JSON: prior of each parameter, by name
    truth: str = scalar()  # JSON: true value of each variable that has one if simulated

"""Upper limits on the rate of a component against its mass, of the data and of simulations."""

from dataclasses import dataclass
from typing import ClassVar

from skymix.axes import FloatArray, IntArray
from skymix.store.base import array, scalar


@dataclass(frozen=True, eq=False)
class Limits:
    """Limits of one fit, as factors on the amplitude that the study gives to the component.

    `log_bayes` is the evidence with the component, its factor uniform from 0 to `largest`, over
    that without it. What is `expected` was found in data simulated without the component.
    """

    schema_name: ClassVar[str] = "limits"
    schema_version: ClassVar[int] = 1

    fit: str = scalar()
    component: str = scalar()
    quantity: str = scalar()  # "cross_section", or "lifetime", which is inverse to the factor
    amplitude: float = scalar()  # the quantity at factor 1
    unit: str = scalar()  # of the quantity
    level: float = scalar()
    largest: float = scalar()
    channels: tuple[str, ...] = scalar()
    mass: FloatArray = array("TeV", ("mass",))
    realisation: IntArray = array("", ("realisation",), "i8")  # number, which sets the seed
    limit: FloatArray = array("", ("channel", "mass"))
    log_bayes: FloatArray = array("", ("channel", "mass"))
    log_bayes_error: FloatArray = array("", ("channel", "mass"))
    expected: FloatArray = array("", ("channel", "realisation", "mass"))
    expected_log_bayes: FloatArray = array("", ("channel", "realisation", "mass"))

    def physical(self, factor: FloatArray) -> FloatArray:
        """Cross-section of a factor, or lifetime, of which a limit is a lower one."""
        return self.amplitude / factor if self.quantity == "lifetime" else self.amplitude * factor

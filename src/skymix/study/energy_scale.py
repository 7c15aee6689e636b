"""Energy scale of a telescope: how far its reconstructed energies may be off."""

from pydantic import Field, model_validator

from skymix.study.likelihood import Name
from skymix.study.parameters import Scan
from skymix.study.quantities import PositiveNumber, Section

ENERGY_SCALE = "energy_scale."
"""How the name of an energy scale's parameter begins."""
_LEAST_NODES = 3  # the error of interpolation is found by leaving one out


class EnergyScale(Section):
    """A free factor on the reconstructed energies of photons in some observations."""

    observations: tuple[Name, ...] = Field(
        min_length=1, description="Observations whose energies it multiplies."
    )
    factor: Scan[PositiveNumber] = Field(
        description="Reconstructed energy over that of the response: nodes about 1, and a prior."
    )

    @model_validator(mode="after")
    def _fits_its_use(self) -> "EnergyScale":
        if self.factor.name is not None:
            raise ValueError("factor.name: an energy scale has its own name; leave it out")
        if self.factor.nodes < _LEAST_NODES:
            raise ValueError(f"factor.nodes: must be at least {_LEAST_NODES}")
        if not self.factor.min <= 1 <= self.factor.max:
            raise ValueError("factor: must scan a range that holds 1")
        return self

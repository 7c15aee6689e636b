"""Component parameters: a fixed value, or a grid of values that the posterior runs over."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from skymix.study.quantities import (
    Distance,
    Energy,
    Number,
    PositiveNumber,
    Section,
    Unit,
)

T = TypeVar("T")


def _unit_of(annotation: Any) -> Unit:
    found: Unit = next(item for item in annotation.__metadata__ if isinstance(item, Unit))
    return found


class _Ranged(Section, Generic[T]):
    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Name of the model for one kind of quantity, as the JSON schema shows it."""
        _, kind = _unit_of(params[0]).kind.split(" ", 1)
        return f"{cls.__name__}[{kind}]"


class Prior(_Ranged[T], Generic[T]):
    """Prior density of a scanned parameter, within the range of its grid."""

    kind: Literal["uniform", "log_uniform", "normal", "log_normal"] = Field(
        description=(
            "Shape of the prior: uniform, log_uniform, or normal or log_normal (cut at the bounds)."
        )
    )
    lower: T | None = Field(default=None, description="Lower bound; the first grid node if absent.")
    upper: T | None = Field(default=None, description="Upper bound; the last grid node if absent.")
    mean: T | None = Field(default=None, description="Mean of a normal prior.")
    sd: T | None = Field(default=None, description="Standard deviation of a normal prior.")
    median: T | None = Field(default=None, description="Median of a log_normal prior.")
    dex: PositiveNumber | None = Field(
        default=None,
        description="Standard deviation of the decimal logarithm, of a log_normal prior.",
    )

    @model_validator(mode="after")
    def _complete(self) -> "Prior[T]":
        normal = self.kind == "normal"
        if normal != (self.mean is not None) or normal != (self.sd is not None):
            raise ValueError("a normal prior needs 'mean' and 'sd', and no other prior takes them")
        log_normal = self.kind == "log_normal"
        if log_normal != (self.median is not None) or log_normal != (self.dex is not None):
            raise ValueError(
                "a log_normal prior needs 'median' and 'dex', and no other prior takes them"
            )
        if self.median is not None and float(self.median) <= 0:  # type: ignore[arg-type]
            raise ValueError(f"prior: 'median' is {self.median}; it must be greater than zero")
        if self.sd is not None and self.sd <= 0:  # type: ignore[operator]
            raise ValueError(f"prior: 'sd' is {self.sd}; it must be greater than zero")
        return self


class Scan(_Ranged[T], Generic[T]):
    """Grid of values of a parameter that the sampler explores by interpolation."""

    min: T = Field(description="First grid node.")
    max: T = Field(description="Last grid node.")
    nodes: int = Field(ge=2, le=10_000, description="Number of grid nodes.")
    spacing: Literal["linear", "log"] = Field(
        default="linear", description="Spacing of the nodes; interpolation is linear in it."
    )
    prior: Prior[T] | None = Field(
        default=None,
        description="Prior; if absent uniform in the value (linear) or in its logarithm (log).",
    )
    name: str | None = Field(
        default=None,
        description="Name of the parameter; components that give the same name share it.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "Scan[T]":
        low, high = float(self.min), float(self.max)  # type: ignore[arg-type]
        if low >= high:
            raise ValueError(f"'min' ({low:g}) must be below 'max' ({high:g})")
        if self.spacing == "log" and low <= 0:
            raise ValueError("log spacing needs 'min' greater than zero")
        if self.prior is None:
            return self
        lower, upper = self.prior_bounds()
        if lower >= upper:
            raise ValueError(f"prior: 'lower' ({lower:g}) must be below 'upper' ({upper:g})")
        if lower < low or upper > high:
            raise ValueError(
                f"prior: its range {lower:g} to {upper:g} leaves the scanned range"
                f" {low:g} to {high:g}; widen the scan or narrow the prior"
            )
        if self.prior.kind == "log_uniform" and lower <= 0:
            raise ValueError("prior: log_uniform needs a lower bound greater than zero")
        if self.prior.kind == "log_normal" and lower < 0:
            raise ValueError("prior: log_normal needs a lower bound of at least zero")
        return self

    @classmethod
    def unit(cls) -> Unit:
        """Kind of quantity that is scanned."""
        return _unit_of(cls.__pydantic_generic_metadata__["args"][0])

    def parse(self, value: Any) -> float:
        """Convert a value of this parameter, text with a unit, to a float in its own unit.

        Raises
        ------
        ValueError
            If it is of the wrong kind or outside the scanned range.
        """
        try:
            number = self.unit().parse(value)
        except PydanticCustomError as error:
            raise ValueError(error.message()) from None
        low, high = float(self.min), float(self.max)  # type: ignore[arg-type]
        if not low <= number <= high:
            raise ValueError(f"'{value}' is outside the scanned range {low:g} to {high:g}")
        return number

    def prior_bounds(self) -> tuple[float, float]:
        """Lower and upper bound of the prior, in the unit of the parameter."""
        prior = self.prior
        lower = self.min if prior is None or prior.lower is None else prior.lower
        upper = self.max if prior is None or prior.upper is None else prior.upper
        return float(lower), float(upper)  # type: ignore[arg-type]


class Free(_Ranged[T], Generic[T]):
    """Range of a parameter that the sampler explores continuously."""

    min: T = Field(description="Smallest value.")
    max: T = Field(description="Largest value.")
    spacing: Literal["linear", "log"] = Field(
        default="linear", description="Prior uniform in the value, or in its logarithm."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "Free[T]":
        low, high = float(self.min), float(self.max)  # type: ignore[arg-type]
        if low >= high:
            raise ValueError(f"'min' ({low:g}) must be below 'max' ({high:g})")
        if self.spacing == "log" and low <= 0:
            raise ValueError("log spacing needs 'min' greater than zero")
        return self


def _is_scan(value: Any) -> str:
    return "scan" if isinstance(value, dict | Scan) else "value"


EnergyParameter = Annotated[
    Annotated[Energy, Tag("value")] | Annotated[Scan[Energy], Tag("scan")],
    Discriminator(_is_scan),
]
NumberParameter = Annotated[
    Annotated[Number, Tag("value")] | Annotated[Scan[Number], Tag("scan")],
    Discriminator(_is_scan),
]
PositiveParameter = Annotated[
    Annotated[PositiveNumber, Tag("value")] | Annotated[Scan[PositiveNumber], Tag("scan")],
    Discriminator(_is_scan),
]
DistanceParameter = Annotated[
    Annotated[Distance, Tag("value")] | Annotated[Scan[Distance], Tag("scan")],
    Discriminator(_is_scan),
]

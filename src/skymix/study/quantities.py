"""Quantities in the study file: text with a unit in, a float in one fixed unit out."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

# A seed that the products can hold.
Seed = Annotated[int, Field(ge=0, lt=2**63)]
_LIMITS = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}


class Section(BaseModel):
    """A part of the study: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


@dataclass(frozen=True)
class Unit:
    """Marks a float field as a physical quantity, written as text with any equivalent unit.

    Parameters
    ----------
    unit : unit that the value is converted to, in astropy's notation
    kind : what is expected, for messages ("an energy")
    example : text shown to a user who got it wrong
    positive : whether zero and negative values are refused
    """

    unit: str
    kind: str
    example: str
    positive: bool = True

    def parse(self, value: Any) -> float:
        """Convert text such as ``"0.1 TeV"`` to a float in `unit`."""
        if isinstance(value, str):
            number = self._convert(value)
        elif self.unit == "" and isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value)
        else:
            raise self._error("needs a unit" if self.unit else "is not a number", value)
        if not math.isfinite(number):
            raise self._error("is not finite", value)
        if self.positive and number <= 0:
            raise self._error("must be greater than zero", value)
        return number

    def _convert(self, text: str) -> float:
        # Imported here so that commands that read no study stay quick.
        from astropy import units as u

        try:
            quantity = u.Quantity(text)
        except (TypeError, ValueError):
            raise self._error(f"is not a number{' with a unit' * bool(self.unit)}", text) from None
        if self.unit and quantity.unit == u.dimensionless_unscaled:
            raise self._error("has no unit", text)
        try:
            return float(quantity.to_value(u.Unit(self.unit)))
        except u.UnitConversionError:
            raise self._error(f"has the unit '{quantity.unit}'", text) from None

    def _error(self, problem: str, value: Any) -> PydanticCustomError:
        return PydanticCustomError(
            "quantity",
            "'{value}' {problem}; {kind} is expected here, for example \"{example}\"",
            {"value": str(value), "problem": problem, "kind": self.kind, "example": self.example},
        )

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            self._validate,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(self.format),
        )

    def _validate(self, value: Any, check_limits: ValidatorFunctionWrapHandler) -> float:
        # Defaults are floats in `unit` already; YAML never yields this marker type.
        number = float(value) if isinstance(value, Default) else self.parse(value)
        try:
            check_limits(number)
        except ValidationError as error:
            limits = error.errors()[0].get("ctx", {})
            allowed = " and ".join(
                f"{words} {limits[name]:g} {self.unit}".rstrip()
                for name, words in _LIMITS.items()
                if name in limits
            )
            raise self._error(f"must be {allowed}", value) from None
        return number

    def format(self, value: float) -> Any:
        """Text of a value in `unit`, as the study file writes it."""
        number = float(value)
        return f"{repr(number).removesuffix('.0')} {self.unit}" if self.unit else number

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        sign = "[+]?" if self.positive else "[+-]?"
        number = rf"^\s*{sign}(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
        if self.unit:
            return {
                "type": "string",
                "pattern": number + "[A-Za-z°]",
                "description": self.kind,
                "examples": [self.example],
            }
        bound = {"exclusiveMinimum": 0} if self.positive else {}
        return {
            "type": ["number", "string"],
            "pattern": number + "$",
            **bound,
            "examples": [float(self.example)],
        }


class Default(float):
    """A default value, already in the unit of its field."""


Energy = Annotated[float, Unit("TeV", "an energy", "1 TeV")]
Angle = Annotated[float, Unit("deg", "an angle", "0.2 deg", positive=False)]
Size = Annotated[float, Unit("deg", "an angle greater than zero", "0.2 deg")]
Time = Annotated[float, Unit("s", "a time", "5 h")]
Distance = Annotated[float, Unit("kpc", "a distance", "8.5 kpc")]
MassDensity = Annotated[float, Unit("GeV cm-3", "an energy density", "0.4 GeV cm-3")]
CrossSection = Annotated[
    float, Unit("cm3 s-1", "a velocity-averaged cross-section", "2e-26 cm3 s-1")
]
Flux = Annotated[float, Unit("TeV-1 cm-2 s-1", "a differential flux", "3.5e-11 TeV-1 cm-2 s-1")]
Intensity = Annotated[
    float, Unit("TeV-1 cm-2 s-1 sr-1", "an intensity", "1.7e-8 TeV-1 cm-2 s-1 sr-1")
]
Memory = Annotated[float, Unit("byte", "an amount of memory", "1 GB")]
Number = Annotated[float, Unit("", "a number", "2.5", positive=False)]
PositiveNumber = Annotated[float, Unit("", "a number greater than zero", "0.17")]

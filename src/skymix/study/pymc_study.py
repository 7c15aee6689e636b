"""The study of a model that is written in PyMC."""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from skymix.study.analysis import Analysis
from skymix.study.likelihood import Name
from skymix.study.mixture import NestedSampler
from skymix.study.quantities import Section
from skymix.study.star_study import StarSampler

# YAML takes a number with an exponent but no point for text.
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be finite; let the function make what is not")
    if not isinstance(value, bool | int | float | str):
        raise ValueError("must be a number, a text, true or false")
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


Argument = Annotated[bool | int | float | str, BeforeValidator(_plain)]


class PymcModel(Section):
    """A Python function that returns the model."""

    path: Path = Field(
        description="Python file with the function; relative to the folder of the study file."
    )
    function: Name = Field(
        default="model",
        description="Function that returns a pm.Model. If it has an argument 'data', it gets the"
        " path of the data folder.",
    )
    arguments: dict[Name, Argument] = Field(
        default={}, description="Values of its other arguments, by name."
    )
    files: tuple[Path, ...] = Field(
        default=(),
        description="Files that the function reads, relative to the data folder; when one of them"
        " changes, the model is sampled anew.",
    )

    @field_validator("arguments")
    @classmethod
    def _data_is_given(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "data" in value:
            raise ValueError("'data' is always the path of the data folder; leave it out")
        return value


class PymcStudy(Analysis):
    """Everything that one analysis of a PyMC model is made of."""

    domain: Literal["pymc"] = Field(
        description="What is analysed: gamma rays, stars or a model written in PyMC."
    )
    model: PymcModel = Field(description="The model.")
    sampler: StarSampler = Field(default=NestedSampler(), description="The sampler.")

    def fitted(self) -> dict[str, tuple[str, ...]]:
        """The one fit of the study: that of its model."""
        return {"model": ("model",)}

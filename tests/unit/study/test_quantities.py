from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from skymix.study.quantities import (
    Angle,
    CrossSection,
    Default,
    Distance,
    Energy,
    Flux,
    Intensity,
    MassDensity,
    Number,
    PositiveNumber,
    Section,
    Size,
    Time,
)


class Everything(Section):
    """One field of every kind."""

    energy: Energy = Default(1.0)
    angle: Angle = Default(0.0)
    size: Size = Field(default=Default(0.2), le=180)
    time: Time = Default(1.0)
    distance: Distance = Default(8.5)
    density: MassDensity = Default(0.39)
    cross_section: CrossSection = Default(2.2e-26)
    flux: Flux = Default(1e-12)
    intensity: Intensity = Default(1e-8)
    number: Number = Default(0.0)
    positive: PositiveNumber = Default(1.0)


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("energy", "500 GeV", 0.5),
        ("energy", "1TeV", 1.0),
        ("energy", "1 erg", 0.6241509074460763),
        ("angle", "-30 arcmin", -0.5),
        ("size", "90 arcsec", 0.025),
        ("time", "5 h", 18000.0),
        ("time", "2 d", 172800.0),
        ("distance", "8500 pc", 8.5),
        ("density", "390 MeV / cm3", 0.39),
        ("cross_section", "2.2e-32 m3 s-1", 2.2e-26),
        ("flux", "1e-11 TeV-1 cm-2 s-1", 1e-11),
        ("flux", "1e-14 GeV-1 cm-2 s-1", 1e-11),
        ("intensity", "1e-6 TeV-1 m-2 s-1 sr-1", 1e-10),
        ("number", -2.5, -2.5),
        ("number", "1e-6", 1e-6),  # YAML 1.1 reads this as text
        ("positive", 3, 3.0),
    ],
)
def test_quantity_is_converted(field, text, expected):
    value = getattr(Everything(**{field: text}), field)
    assert isinstance(value, float)
    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("energy", "3 deg", "'3 deg' has the unit 'deg'; an energy is expected"),
        ("energy", "3 m", "has the unit 'm'"),
        ("energy", "3", "'3' has no unit"),
        ("energy", 3, "'3' needs a unit"),
        ("energy", 3.0, "needs a unit"),
        ("energy", None, "needs a unit"),
        ("energy", ["1 TeV"], "needs a unit"),
        ("energy", "much TeV", "is not a number with a unit"),
        ("energy", "1 Tev", "is not a number with a unit"),
        ("energy", "", "is not a number with a unit"),
        ("energy", "0 TeV", "must be greater than zero"),
        ("energy", "-1 TeV", "must be greater than zero"),
        ("energy", "nan TeV", "is not finite"),
        ("energy", "inf TeV", "is not finite"),
        ("energy", "1e400 TeV", "is not finite"),
        ("size", "181 deg", "must be at most 180 deg"),
        ("size", "10801 arcmin", "must be at most 180 deg"),
        ("flux", "1 TeV-1 cm-2", "has the unit"),
        ("number", True, "is not a number"),
        ("number", "two", "is not a number"),
        ("number", "2 TeV", "has the unit 'TeV'"),
        ("number", float("nan"), "is not finite"),
        ("positive", 0, "must be greater than zero"),
    ],
)
def test_wrong_quantity_is_refused(field, value, words):
    with pytest.raises(ValidationError) as caught:
        Everything(**{field: value})
    [error] = caught.value.errors()
    assert error["loc"] == (field,)
    assert words in error["msg"]
    assert "for example" in error["msg"]


def test_default_values_are_in_the_unit_of_the_field():
    assert Everything().distance == 8.5
    assert Everything().model_dump(mode="json")["distance"] == "8.5 kpc"


def test_limits_hold_wherever_they_are_written():
    class Both(Section):
        inner: Annotated[Size, Field(le=1)] = Default(0.5)
        outer: Size = Field(default=Default(0.5), ge=0.1, le=1)

    for field in ("inner", "outer"):
        assert getattr(Both(**{field: "1 deg"}), field) == 1.0
        with pytest.raises(ValidationError, match="1"):
            Both(**{field: "1.01 deg"})


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_text_of_a_quantity_reads_back_to_the_last_bit(value):
    first = Everything(
        energy=f"{value!r} TeV", time=f"{value!r} s", positive=value, angle=f"{-value!r} deg"
    )
    assert first.energy == value
    assert Everything(**first.model_dump(mode="json")) == first

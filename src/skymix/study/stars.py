"""Settings of a catalogue of stars: columns, units, errors, cuts."""

from typing import Literal

from pydantic import Field, model_validator

from skymix.study.likelihood import Name
from skymix.study.quantities import Angle, Number, Section, Size


class Coordinate(Section):
    """A measured coordinate of every star."""

    column: str = Field(description="Column of the value.")
    error: str | None = Field(
        default=None, description="Column of its standard error; exact if absent."
    )
    unit: str = Field(description="Unit that the analysis uses, in astropy's notation.")
    column_unit: str | None = Field(
        default=None, description="Unit of the columns, where the file has none."
    )


class Correlation(Section):
    """Column with the correlation of two coordinates' errors."""

    between: tuple[str, str] = Field(description="Names of the two coordinates.")
    column: str = Field(description="Column of the correlation coefficient.")


class Cut(Section):
    """Range of a column's values that is kept, both ends included."""

    column: str = Field(description="Column that is cut on.")
    min: Number | None = Field(default=None, description="Smallest value kept, in its unit.")
    max: Number | None = Field(default=None, description="Largest value kept, in its unit.")


class SkyRegion(Section):
    """A cone about a direction, or an annulus."""

    lon_column: str = Field(description="Column of the longitude or right ascension, in deg.")
    lat_column: str = Field(description="Column of the latitude or declination, in deg.")
    lon: Angle = Field(description="Centre.")
    lat: Angle = Field(description="Centre.", ge=-90.0, le=90.0)
    radius: Size = Field(description="Outer radius.", le=180.0)
    inner_radius: Size | None = Field(default=None, description="Inner radius of an annulus.")

    @model_validator(mode="after")
    def _radii(self) -> "SkyRegion":
        if self.inner_radius is not None and self.inner_radius >= self.radius:
            raise ValueError("inner_radius: must be smaller than radius")
        return self


class Labels(Section):
    """Column with a published classification, which the fit does not see."""

    column: str = Field(description="Column of the labels.")
    component: Name = Field(description="Component, or split of the tree, that members are of.")
    members: tuple[str, ...] = Field(min_length=1, description="Labels of its members.")
    others: tuple[str, ...] = Field(min_length=1, description="Labels of all other stars.")


class CatalogueSettings(Section):
    """A table of stars and what is taken from it."""

    path: str = Field(description="File of any kind that astropy reads.")
    format: str | None = Field(default=None, description="Its kind, where astropy cannot tell.")
    coordinates: dict[str, Coordinate] = Field(
        min_length=1, max_length=3, description="Coordinates of the analysis, by name."
    )
    correlations: tuple[Correlation, ...] = Field(default=(), description="Of the errors.")
    cuts: tuple[Cut, ...] = Field(default=(), description="Cuts on quality.")
    region: SkyRegion | None = Field(default=None, description="Selection on the sky.")
    labels: Labels | None = Field(default=None, description="Labels to compare with.")
    missing: Literal["refuse", "drop"] = Field(
        default="refuse", description="What is done with a star that lacks a value."
    )

    @model_validator(mode="after")
    def _names(self) -> "CatalogueSettings":
        for correlation in self.correlations:
            for name in correlation.between:
                if name not in self.coordinates:
                    raise ValueError(
                        f"correlations: '{name}' is none of {', '.join(self.coordinates)}"
                    )
                if self.coordinates[name].error is None:
                    raise ValueError(f"correlations: coordinate '{name}' has no error column")
            if len(set(correlation.between)) == 1:
                raise ValueError(f"correlations: '{correlation.between[0]}' stands twice")
        return self

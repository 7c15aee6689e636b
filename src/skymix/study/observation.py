"""Settings of the region, the grids and the observations."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from skymix.study.components import Position
from skymix.study.quantities import Default, Energy, PositiveNumber, Section, Seed, Size, Time

MAX_CELLS = 1e9
"""Most cells of a grid: an array of them takes 8 GB."""
MAX_EVENTS = 1e9
"""Most events of a simulated component, one by one."""
MAX_COUNTS = 1e15
"""Most events of a simulated component as counts: whole numbers that a float64 holds."""


class Region(Section):
    """The part of the sky that is analysed: a rectangle about a direction."""

    centre: Position = Field(
        description="Centre; longitudes and latitudes of the study are offsets from it."
    )
    width: Size = Field(le=180, description="Extent in longitude.")
    height: Size = Field(le=120, description="Extent in latitude.")


class EnergyGrid(Section):
    """Cells of equal width in log energy."""

    min: Energy = Field(description="Lower edge of the first cell.")
    max: Energy = Field(description="Upper edge of the last cell.")
    per_decade: PositiveNumber = Field(description="Number of cells a decade.")

    @model_validator(mode="after")
    def _ordered(self) -> "EnergyGrid":
        if self.min >= self.max:
            raise ValueError(f"'min' ({self.min:g} TeV) must be below 'max' ({self.max:g} TeV)")
        return self

    @property
    def cells(self) -> float:
        """Number of cells, about."""
        return max(1.0, math.log10(self.max / self.min) * self.per_decade)


class Grids(Section):
    """Cells of the reconstructed (data) space and of the true space."""

    energy: EnergyGrid = Field(description="Reconstructed energies; events outside are cut.")
    true_energy: EnergyGrid = Field(description="True energies; must reach beyond the data's.")
    pixel: Size = Field(description="Size of a pixel of the reconstructed sky.")
    subdivision: PositiveInt = Field(
        default=2, le=16, description="True pixels along the side of a reconstructed pixel."
    )
    margin: Size = Field(
        default=Default(0.6),
        le=20,
        description="How far the true sky reaches beyond the region on each side.",
    )

    @model_validator(mode="after")
    def _covers(self) -> "Grids":
        self.check_energies("true_energy")
        return self

    def check_energies(self, place: str) -> None:
        """Refuse energies that reach beyond the true ones; ValueError names the place."""
        data, true = self.energy, self.true_energy
        if true.min > data.min or true.max < data.max:
            raise ValueError(
                f"{place}: {true.min:g} to {true.max:g} TeV does not cover the data's"
                f" {data.min:g} to {data.max:g} TeV; widen true_energy or narrow energy"
            )

    def over(self, energy: EnergyGrid | None) -> "Grids":
        """The same with other reconstructed energies, if there are any."""
        return self if energy is None else self.model_copy(update={"energy": energy})

    def check_region(self, region: Region) -> None:
        """Refuse pixels that do not suit the region; ValueError says what would."""
        smaller = min(region.width, region.height)
        if self.pixel > smaller:
            raise ValueError(
                f"grids.pixel: {self.pixel:g} deg is larger than the region ({smaller:g} deg); use"
                " smaller pixels"
            )
        sides = [self._side(region.width), self._side(region.height)]
        if sides[1][0] > 180 or sides[0][0] > 360:
            raise ValueError(
                f"grids: the region and its margin of {self.margin:g} deg, in whole pixels, reach"
                " around the sphere; use a smaller region, margin or pixel"
            )
        cells = self.true_energy.cells * math.prod(n for _, n in sides)
        data = self.energy.cells * math.prod(n / self.subdivision for _, n in sides)
        if max(cells, data) > MAX_CELLS:
            raise ValueError(
                f"grids: {max(cells, data):.2g} cells, which take {max(cells, data) * 8e-9:.2g} GB"
                f" an array, are more than the {MAX_CELLS:.0e} allowed; use larger pixels, a"
                " smaller subdivision or region, or fewer energies per decade"
            )

    def _side(self, size: float) -> tuple[float, int]:
        """Extent of the true sky along a side of the region, deg, and its number of pixels."""
        number = max(1, round(size / self.pixel))
        pixel = size / number
        number += 2 * math.ceil(self.margin / pixel - 1e-9)
        return number * pixel, number * self.subdivision


class Selection(Section):
    """Cuts on the events."""

    offset_max: Size = Field(
        default=Default(180.0), description="Largest angle between an event and the pointing."
    )


class SimulatedEvents(Section):
    """Events drawn from the components through the response."""

    kind: Literal["simulated"] = Field(description="Where the events come from.")
    form: Literal["events", "counts"] = Field(
        default="events",
        description=(
            "Photons one by one, or Poisson counts in reconstructed cells, whose cost does not grow"
            " with their number; counts need binned marginalisation."
        ),
    )
    pointing: Position = Field(description="Direction of the telescope.")
    livetime: Time = Field(description="Observation time corrected for dead time.")
    counts: dict[str, PositiveNumber | Literal["model"] | Literal[0]] = Field(
        default={},
        description=(
            "Expected number of selected events by component; 'model', also if absent, takes it"
            " from the component's own amplitude and the livetime; 0 leaves it out."
        ),
    )
    parameters: dict[str, str | float] = Field(
        default={}, description="True value of each scanned parameter, by parameter name."
    )
    seed: Seed | None = Field(
        default=None, description="Seed of this observation; derived from the study's if absent."
    )

    @property
    def largest(self) -> float:
        """Most events that a component may have."""
        return MAX_EVENTS if self.form == "events" else MAX_COUNTS

    @model_validator(mode="after")
    def _not_too_many(self) -> "SimulatedEvents":
        advice = "; lower it" + " or set 'form: counts'" * (self.form == "events")
        for component, number in self.counts.items():
            if number != "model" and number > self.largest:
                raise ValueError(
                    f"counts.{component}: {number:g} events are more than the {self.largest:.0e}"
                    f" that can be simulated{advice}"
                )
        return self


class RecordedEvents(Section):
    """Events of a DL3 file (Gamma Astro Data Formats)."""

    kind: Literal["dl3"] = Field(description="Where the events come from.")
    path: Path = Field(description="FITS file with EVENTS and GTI; relative to the data folder.")


def _background_unit(text: str) -> str:
    from astropy import units as u

    try:
        u.Unit(text, format="fits").to(u.Unit("s-1 TeV-1 sr-1"))
    except (ValueError, TypeError, u.UnitConversionError):
        raise ValueError(
            f"'{text}' is not a FITS unit of a rate per energy and solid angle, such as"
            " 's-1 MeV-1 sr-1'"
        ) from None
    return text


BackgroundUnit = Annotated[str, AfterValidator(_background_unit)]


class OnOffEvents(Section):
    """Events of DL3 files within a circle about a source, and in circles beside it."""

    kind: Literal["on_off"] = Field(description="Where the events come from.")
    paths: tuple[Path, ...] = Field(
        min_length=1,
        description=(
            "FITS files with EVENTS and GTI, or patterns such as fact/*_dl3.fits, relative to the"
            " data folder; runs at one distance from the source are added up."
        ),
    )
    position: Position = Field(description="Source, and centre of the on region.")
    radius: Size = Field(le=5, description="Radius of the on region: that of the response.")
    off_regions: PositiveInt = Field(
        default=5, description="Number of off regions, turned about the pointing by equal angles."
    )


class ParametricTelescope(Section):
    """The built-in telescope: closed formulas, no file; larger or smaller, sharper or not."""

    kind: Literal["parametric"] = Field(description="Where the response comes from.")
    area_scale: PositiveNumber = Field(
        default=Default(1.0), description="Factor on effective area and background rate."
    )
    psf_scale: PositiveNumber = Field(
        default=Default(1.0), le=5, description="Factor on the radius of the PSF."
    )


class RecordedResponse(Section):
    """Instrument response functions of a DL3 file."""

    kind: Literal["dl3"] = Field(description="Where the response comes from.")
    path: Path = Field(
        description="FITS file with AEFF, EDISP, PSF and BKG; relative to the data folder."
    )
    background_unit: BackgroundUnit | None = Field(
        default=None,
        description="Unit of the background where the file's own is missing or not FITS.",
    )
    background_alignment: Literal["RADEC", "REVERSE_LON_RADEC"] | None = Field(
        default=None,
        description="Alignment of the background's axes where the file gives no FOVALIGN.",
    )


class PointLikeResponse(Section):
    """Effective area and energy dispersion within an angular cut (RAD_MAX) of a DL3 file."""

    kind: Literal["point_like"] = Field(description="Where the response comes from.")
    path: Path = Field(
        description="FITS file with point-like AEFF and EDISP; relative to the data folder."
    )


class Observation(Section):
    """One pointing of the telescope."""

    events: Annotated[
        SimulatedEvents | RecordedEvents | OnOffEvents, Field(discriminator="kind")
    ] = Field(description="The event list.")
    response: Annotated[
        ParametricTelescope | RecordedResponse | PointLikeResponse, Field(discriminator="kind")
    ] = Field(description="The instrument response.")
    energy: EnergyGrid | None = Field(
        default=None,
        description="Reconstructed energies of this observation, in place of grids.energy.",
    )

    @model_validator(mode="after")
    def _on_off_is_point_like(self) -> "Observation":
        if isinstance(self.events, OnOffEvents) != isinstance(self.response, PointLikeResponse):
            raise ValueError(
                "events of kind 'on_off' and a response of kind 'point_like' need each other"
            )
        return self


class ObservationTable(Section):
    """Observations as rows of a CSV file.

    The column `name` names them; any other column is a setting of an observation, its keys joined
    by dots, with the unit of its numbers after it if they have none: `events.livetime [h]`.
    """

    path: Path = Field(description="CSV file; relative to the folder of the study file.")
    common: dict[str, Any] = Field(
        default={}, description="Settings that all its observations share; a column goes before."
    )


class Jobs(Section):
    """How the workflow shares out its work; no setting here changes a result."""

    observations: PositiveInt | None = Field(
        default=None,
        description=(
            "Observations that a job takes together, about; if absent 1 where up to 100 are fitted"
            " together, else 25."
        ),
    )
    events: PositiveInt = Field(
        default=100_000,
        ge=10,
        description="Unbinned events that a job takes; an observation with more is divided.",
    )

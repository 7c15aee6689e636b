"""Settings of the gamma-ray source components, one model a kind."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from skymix.study.parameters import (
    DistanceParameter,
    EnergyParameter,
    NumberParameter,
    PositiveParameter,
)
from skymix.study.quantities import (
    Angle,
    CrossSection,
    Default,
    Distance,
    Energy,
    Flux,
    Intensity,
    MassDensity,
    PositiveNumber,
    Section,
    Size,
    Time,
    Unit,
)


class Position(Section):
    """A direction on the sky."""

    frame: Literal["galactic", "icrs"] = Field(description="Coordinate frame: galactic or icrs.")
    lon: Angle = Field(description="Galactic longitude, or right ascension.")
    lat: Angle = Field(ge=-90, le=90, description="Galactic latitude, or declination.")


# Spectra -----------------------------------------------------------------------------------


class PowerLaw(Section):
    """dN/dE = amplitude (E / reference)^-index."""

    kind: Literal["power_law"] = Field(description="Kind of spectrum.")
    index: NumberParameter = Field(description="Spectral index, positive for a falling spectrum.")
    reference: Energy = Field(default=Default(1.0), description="Reference energy.")
    amplitude: Flux = Field(default=Default(1e-12), description="Flux at the reference energy.")


class LogParabola(Section):
    """dN/dE = amplitude (E / reference)^(-alpha - beta ln(E / reference))."""

    kind: Literal["log_parabola"] = Field(description="Kind of spectrum.")
    alpha: NumberParameter = Field(description="Index at the reference energy.")
    beta: NumberParameter = Field(description="Curvature.")
    reference: Energy = Field(default=Default(1.0), description="Reference energy.")
    amplitude: Flux = Field(default=Default(1e-12), description="Flux at the reference energy.")


class CutoffPowerLaw(Section):
    """dN/dE = amplitude (E / reference)^-index exp(-E / cutoff)."""

    kind: Literal["cutoff_power_law"] = Field(description="Kind of spectrum.")
    index: NumberParameter = Field(description="Spectral index, positive for a falling spectrum.")
    cutoff: EnergyParameter = Field(description="Cut-off energy.")
    reference: Energy = Field(default=Default(1.0), description="Reference energy.")
    amplitude: Flux = Field(default=Default(1e-12), description="Flux at the reference energy.")


SourceSpectrum = Annotated[PowerLaw | LogParabola | CutoffPowerLaw, Field(discriminator="kind")]


# Dark matter -------------------------------------------------------------------------------


class Halo(Section):
    """What all density profiles share: the normalisation at the Sun."""

    distance: Distance = Field(
        default=Default(8.5), description="Distance of the Sun from the halo's centre."
    )
    local_density: MassDensity = Field(
        default=Default(0.39), description="Dark-matter density at the Sun."
    )


class Einasto(Halo):
    """rho ~ exp(-2/alpha [(r/r_s)^alpha - 1])."""

    kind: Literal["einasto"] = Field(description="Kind of profile.")
    alpha: PositiveParameter = Field(default=Default(0.17), description="Shape parameter.")
    scale_radius: DistanceParameter = Field(default=Default(20.0), description="Scale radius r_s.")


class NFW(Halo):
    """rho ~ 1 / [(r/r_s) (1 + r/r_s)^2]."""

    kind: Literal["nfw"] = Field(description="Kind of profile.")
    scale_radius: DistanceParameter = Field(default=Default(20.0), description="Scale radius r_s.")


class GeneralisedNFW(Halo):
    """rho ~ 1 / [(r/r_s)^gamma (1 + r/r_s)^(3 - gamma)]."""

    kind: Literal["gnfw"] = Field(description="Kind of profile.")
    gamma: PositiveParameter = Field(default=Default(1.2), description="Inner slope.")
    scale_radius: DistanceParameter = Field(default=Default(20.0), description="Scale radius r_s.")


class Burkert(Halo):
    """rho ~ 1 / [(1 + r/r_s) (1 + (r/r_s)^2)]."""

    kind: Literal["burkert"] = Field(description="Kind of profile.")
    scale_radius: DistanceParameter = Field(default=Default(12.67), description="Core radius r_s.")


class Moore(Halo):
    """rho ~ 1 / [(r/r_s)^1.16 (1 + r/r_s)^1.84]."""

    kind: Literal["moore"] = Field(description="Kind of profile.")
    scale_radius: DistanceParameter = Field(default=Default(30.28), description="Scale radius r_s.")


Profile = Annotated[Einasto | NFW | GeneralisedNFW | Burkert | Moore, Field(discriminator="kind")]


_CHANNELS = (
    "Branching fraction by channel, adding up to 1; or a list of channels with free fractions:"
    " then each is a component <name>-<channel> in a split of the tree."
)


class OrListOfNames:
    """Marks a mapping that the study may also give as a list, expanded before it is checked."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"anyOf": [handler(schema), names]}


class ClosedFormAnnihilation(Section):
    """dN/dx = a x^-1.5 exp(-b x), x = E/m (Bergstrom, Edsjo and Ullio 2001, PRL 87, 251301)."""

    kind: Literal["closed_form"] = Field(description="Kind of annihilation spectrum.")
    channels: Annotated[
        dict[Literal["W", "Z", "b", "t", "u"], PositiveNumber],
        Field(min_length=1),
        OrListOfNames(),
    ] = Field(description=_CHANNELS)

    @model_validator(mode="after")
    def _sum(self) -> "ClosedFormAnnihilation":
        _check_branching(self.channels.values())
        return self


class TabulatedAnnihilation(Section):
    """Photon spectra at production: PPPC4DMID, CosmiXs or HDMSpectra."""

    kind: Literal["pppc4dmid", "cosmixs", "hdmspectra"] = Field(
        description="Kind of annihilation spectrum: whose table."
    )
    path: Path | None = Field(
        default=None, description="File of the table; if absent the copy in the data folder."
    )
    channels: Annotated[
        dict[str, PositiveNumber],
        Field(min_length=1),
        OrListOfNames(),
    ] = Field(description=_CHANNELS)

    @model_validator(mode="after")
    def _sum(self) -> "TabulatedAnnihilation":
        _check_branching(self.channels.values())
        return self


class ScalarSinglet(Section):
    """Z2 scalar singlet: tabulated spectra weighted by its annihilation cross-sections."""

    kind: Literal["scalar_singlet"] = Field(description="Kind of annihilation spectrum.")
    spectra: Literal["pppc4dmid", "cosmixs"] = Field(
        default="pppc4dmid", description="Whose table of photon spectra."
    )
    path: Path | None = Field(
        default=None, description="File of the table; if absent the copy in the data folder."
    )
    cross_sections: Path | None = Field(
        default=None,
        description="Folder of the SHP_sigmav tables; if absent the copy in the data folder.",
    )
    coupling: PositiveParameter = Field(
        default=Default(0.1), description="Higgs portal coupling lambda_hS."
    )


def _check_branching(fractions: Iterable[float]) -> None:
    total = sum(fractions)
    if abs(total - 1) > 1e-6:
        raise ValueError(f"channels: the branching fractions add up to {total:g}, not to 1")


Annihilation = Annotated[
    ClosedFormAnnihilation | TabulatedAnnihilation | ScalarSinglet, Field(discriminator="kind")
]


Decay = Annotated[ClosedFormAnnihilation | TabulatedAnnihilation, Field(discriminator="kind")]


class DarkMatter(Section):
    """Annihilating dark matter in a spherical halo."""

    kind: Literal["dark_matter"] = Field(description="Kind of component.")
    centre: Position = Field(
        default=Position(frame="galactic", lon="0 deg", lat="0 deg"),
        description="Direction of the halo's centre.",
    )
    profile: Profile = Field(description="Density profile of the halo.")
    spectrum: Annihilation = Field(description="Photon spectrum of an annihilation.")
    mass: EnergyParameter = Field(description="Mass of the particle.")
    cross_section: CrossSection = Field(
        default=Default(2.2e-26), description="Velocity-averaged annihilation cross-section."
    )


class DecayingDarkMatter(Section):
    """Decaying dark matter in a spherical halo."""

    kind: Literal["decaying_dark_matter"] = Field(description="Kind of component.")
    centre: Position = Field(
        default=Position(frame="galactic", lon="0 deg", lat="0 deg"),
        description="Direction of the halo's centre.",
    )
    profile: Profile = Field(description="Density profile of the halo.")
    spectrum: Decay = Field(
        description="Photon spectrum of a decay: that of an annihilation at half the mass."
    )
    mass: EnergyParameter = Field(description="Mass of the particle.")
    lifetime: Time = Field(default=Default(1e26), description="Mean lifetime of the particle.")


# Sources -----------------------------------------------------------------------------------


class PointSource(Section):
    """A source without extension."""

    kind: Literal["point_source"] = Field(description="Kind of component.")
    position: Position = Field(description="Where the source is.")
    spectrum: SourceSpectrum = Field(description="Energy spectrum.")


class GaussianSource(Section):
    """A source with a round Gaussian profile on the sphere."""

    kind: Literal["gaussian_source"] = Field(description="Kind of component.")
    position: Position = Field(description="Centre of the source.")
    sigma: Size = Field(description="Standard deviation of the profile along each axis.")
    spectrum: SourceSpectrum = Field(description="Energy spectrum.")


class Catalogue(Section):
    """All sources of the H.E.S.S. Galactic plane survey in reach, as one fixed component."""

    kind: Literal["catalogue"] = Field(description="Kind of component.")
    path: Path | None = Field(
        default=None, description="hgps_catalog_v1.fits.gz; if absent the copy in the data folder."
    )
    exclude: tuple[str, ...] = Field(default=(), description="Names of sources that are left out.")


# Diffuse emission --------------------------------------------------------------------------


class DiffuseTemplate(Section):
    """Intensity from a FITS cube in energy, longitude and latitude."""

    kind: Literal["diffuse_template"] = Field(description="Kind of component.")
    path: Path | None = Field(
        default=None,
        description="FITS cube in MeV-1 cm-2 s-1 sr-1; if absent gll_iem_v07_gc of the data.",
    )
    above_last_energy: Literal["power_law", "zero"] = Field(
        default="power_law",
        description="Beyond the cube's last energy: its last two planes continued, or nothing.",
    )


class GalacticRidge(Section):
    """Ridge along the Galactic plane: Gaussian in longitude and latitude times a power law.

    Default spectrum: Aharonian et al. 2006, Nature 439, 695.
    """

    kind: Literal["galactic_ridge"] = Field(description="Kind of component.")
    lon_sigma: Size = Field(
        default=Default(0.8), description="Standard deviation in Galactic longitude."
    )
    lat_sigma: Size = Field(
        default=Default(0.2), description="Standard deviation in Galactic latitude."
    )
    index: NumberParameter = Field(default=Default(2.29), description="Spectral index.")
    reference: Energy = Field(default=Default(1.0), description="Reference energy.")
    amplitude: Intensity = Field(
        default=Default(2.793e-8),
        description=(
            "Intensity at the centre at the reference energy; the default's mean over |l| < 0.8 deg"
            " and |b| < 0.3 deg is the measured 1.73e-8."
        ),
    )


class CosmicRays(Section):
    """Cosmic-ray background as the response gives it, in reconstructed coordinates."""

    kind: Literal["cosmic_rays"] = Field(description="Kind of component.")
    normalisation: PositiveNumber = Field(
        default=Default(1.0), description="Factor on the background rate of the response."
    )


AnyComponent = Annotated[
    DarkMatter
    | DecayingDarkMatter
    | PointSource
    | GaussianSource
    | Catalogue
    | DiffuseTemplate
    | GalacticRidge
    | CosmicRays,
    Field(discriminator="kind"),
]


def physical_amplitude(component: AnyComponent) -> tuple[str, float, str] | None:
    """Field, value and unit of what a component's expected counts are proportional to.

    A cross-section, or a flux or intensity at a reference energy; None where the amplitude is not
    a number of the study.
    """
    for section in (component, getattr(component, "spectrum", None)):
        for field in ("cross_section", "amplitude"):
            if section is not None and field in type(section).model_fields:
                marks = type(section).model_fields[field].metadata
                unit = next(mark.unit for mark in marks if isinstance(mark, Unit))
                return field, float(getattr(section, field)), unit
    return None

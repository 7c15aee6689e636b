"""Component densities of a study of stars."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from skymix.study.likelihood import Name
from skymix.study.parameters import Free
from skymix.study.quantities import Angle, Distance, Number, PositiveNumber, Section, Size


def _is_free(value: Any) -> str:
    return "free" if isinstance(value, dict | Free) else "value"


PlaceParameter = Annotated[
    Annotated[Number, Tag("value")] | Annotated[Free[Number], Tag("free")], Discriminator(_is_free)
]
WidthParameter = Annotated[
    Annotated[PositiveNumber, Tag("value")] | Annotated[Free[PositiveNumber], Tag("free")],
    Discriminator(_is_free),
]
AngleParameter = Annotated[
    Annotated[Angle, Tag("value")] | Annotated[Free[Angle], Tag("free")], Discriminator(_is_free)
]
SizeParameter = Annotated[
    Annotated[Size, Tag("value")] | Annotated[Free[Size], Tag("free")], Discriminator(_is_free)
]
LengthParameter = Annotated[
    Annotated[Distance, Tag("value")] | Annotated[Free[Distance], Tag("free")],
    Discriminator(_is_free),
]


class NormalDensity(Section):
    """Normal density, widened at each star by the star's own errors."""

    kind: Literal["normal"] = Field(description="Kind of density.")
    shape: Literal["isotropic", "diagonal", "full"] = Field(
        default="diagonal", description="Intrinsic covariance; a full one has free correlations."
    )
    mean: dict[str, PlaceParameter] = Field(
        min_length=1, max_length=3, description="Mean of each coordinate, in its unit."
    )
    sigma: dict[str, WidthParameter] = Field(
        min_length=1,
        description=(
            "Intrinsic standard deviation of each coordinate; of an isotropic density one, under"
            " the name 'all'."
        ),
    )

    @model_validator(mode="after")
    def _sizes(self) -> "NormalDensity":
        wanted = {"all"} if self.shape == "isotropic" else set(self.mean)
        if set(self.sigma) != wanted:
            raise ValueError(
                f"sigma: names {_listed(self.sigma)}, but shape '{self.shape}' needs"
                f" {_listed(wanted)}"
            )
        return self

    def coordinates(self) -> tuple[str, ...]:
        """Coordinates that it is a density of."""
        return tuple(self.mean)


class UniformDensity(Section):
    """Uniform in every coordinate, over the range of the catalogue's values."""

    kind: Literal["uniform"] = Field(description="Kind of density.")

    def coordinates(self) -> tuple[str, ...]:
        """No coordinate of its own."""
        return ()


class Centre(Section):
    """Centre of a profile on the sky, as an offset from the centre of the region."""

    lon: AngleParameter = Field(description="Offset towards east.")
    lat: AngleParameter = Field(description="Offset towards north.")


class _Profile(Section):
    centre: Centre = Field(description="Centre of the profile.")
    scale: SizeParameter = Field(
        description="Radius of a Plummer profile, core radius of King's, width of a Gaussian one."
    )

    def coordinates(self) -> tuple[str, ...]:
        """The position."""
        return ("sky",)


class PlummerProfile(_Profile):
    """Plummer's profile on the sky."""

    kind: Literal["plummer"] = Field(description="Kind of density.")


class GaussianProfile(_Profile):
    """Round Gaussian profile on the sky."""

    kind: Literal["gaussian"] = Field(description="Kind of density.")


class KingProfile(_Profile):
    """King's (1962) profile on the sky."""

    kind: Literal["king"] = Field(description="Kind of density.")
    concentration: WidthParameter = Field(description="Tidal radius over core radius.")


class SpaceDensity(Section):
    """Exponentially decreasing space density; every star's distance is integrated out."""

    kind: Literal["space_density"] = Field(description="Kind of density.")
    coordinate: str = Field(description="Name of the parallax among the coordinates.")
    length: LengthParameter = Field(description="Scale length; the mean distance is 3 of it.")

    def coordinates(self) -> tuple[str, ...]:
        """The parallax."""
        return (self.coordinate,)


class OneDistance(Section):
    """All stars at one distance, as in a cluster."""

    kind: Literal["distance"] = Field(description="Kind of density.")
    coordinate: str = Field(description="Name of the parallax among the coordinates.")
    distance: LengthParameter = Field(description="The distance.")

    def coordinates(self) -> tuple[str, ...]:
        """The parallax."""
        return (self.coordinate,)


_Density = (
    NormalDensity
    | UniformDensity
    | PlummerProfile
    | GaussianProfile
    | KingProfile
    | SpaceDensity
    | OneDistance
)
Density = Annotated[_Density, Field(discriminator="kind")]


class Product(Section):
    """Product of densities of different coordinates; uniform in those that none names."""

    kind: Literal["product"] = Field(description="Kind of density.")
    factors: dict[Name, Density] = Field(min_length=1, description="The densities, by any name.")

    def coordinates(self) -> tuple[str, ...]:
        """Coordinates that it is a density of."""
        return tuple(c for factor in self.factors.values() for c in factor.coordinates())


def factors_of(component: "_Density | Product") -> "tuple[_Density, ...]":
    """Densities that a component is the product of."""
    return tuple(component.factors.values()) if isinstance(component, Product) else (component,)


StarComponent = Annotated[_Density | Product, Field(discriminator="kind")]


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))

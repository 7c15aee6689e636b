"""Settings of the likelihood: what is free of the components' rates, and how they are known."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveInt, StringConstraints, Tag, model_validator

from skymix.study.mixture import Split
from skymix.study.quantities import Number, PositiveNumber, Section

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


def word_or_groups(value: Any) -> str:
    """Tag of a setting that is one word, or lists by name."""
    return "[groups]" if isinstance(value, dict) else "[word]"


Groups = Annotated[dict[Name, tuple[Name, ...]], Tag("[groups]")]


class FixedFactor(Section):
    """A factor that is given."""

    kind: Literal["fixed"] = Field(description="Kind of prior.")
    value: PositiveNumber = Field(default=1.0, description="The factor.")


class _Between(Section):
    lower: PositiveNumber = Field(description="Lower bound.")
    upper: PositiveNumber = Field(description="Upper bound.")

    @model_validator(mode="after")
    def _ordered(self) -> "_Between":
        if self.lower >= self.upper:
            raise ValueError(f"'lower' ({self.lower:g}) must be below 'upper' ({self.upper:g})")
        return self


class UniformFactor(_Between):
    """Uniform between two bounds."""

    kind: Literal["uniform"] = Field(description="Kind of prior.")
    lower: Annotated[Number, Field(ge=0)] = Field(default=0.0, description="Lower bound.")


class LogUniformFactor(_Between):
    """Uniform in the logarithm between two bounds."""

    kind: Literal["log_uniform"] = Field(description="Kind of prior.")


class NormalFactor(Section):
    """Normal, cut at zero."""

    kind: Literal["normal"] = Field(description="Kind of prior.")
    mean: PositiveNumber = Field(default=1.0, description="Mean of the uncut distribution.")
    sd: PositiveNumber = Field(description="Standard deviation of the uncut distribution.")


class LogNormalFactor(Section):
    """Normal in the logarithm."""

    kind: Literal["log_normal"] = Field(description="Kind of prior.")
    median: PositiveNumber = Field(default=1.0, description="Median.")
    dex: PositiveNumber = Field(description="Standard deviation of the decimal logarithm.")


FreeFactor = Annotated[
    UniformFactor | LogUniformFactor | NormalFactor | LogNormalFactor, Field(discriminator="kind")
]
Factor = Annotated[
    FixedFactor | UniformFactor | LogUniformFactor | NormalFactor | LogNormalFactor,
    Field(discriminator="kind"),
]


class Nuisance(Section):
    """A factor on the expected counts of some components: how well their rate is known."""

    components: tuple[Name, ...] = Field(
        min_length=1,
        description="Components whose counts it multiplies; a split stands for all below it.",
    )
    prior: FreeFactor = Field(description="Prior of the factor.")
    per: Annotated[
        Annotated[Literal["shared", "observation"], Tag("[word]")] | Groups,
        Discriminator(word_or_groups),
    ] = Field(
        default="shared",
        description=(
            "One factor for all observations (shared), one for each (observation), or one for each"
            " group of observations, given by name as lists; observations in no group have none."
        ),
    )

    def groups(self, observations: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """Observations among those given that each of its factors is for, by name of the group.

        A shared factor has the empty name and all observations.
        """
        if self.per == "shared":
            return {"": observations}
        if self.per == "observation":
            return {name: (name,) for name in observations}
        within = {
            group: tuple(name for name in names if name in observations)
            for group, names in self.per.items()
        }
        return {group: names for group, names in within.items() if names}


class _Likelihood(Section):
    precision: Literal["double", "single"] = Field(
        default="double",
        description=(
            "Numbers of the density tables: double, or single, which halves their memory and"
            " rounds each density to 6e-8 of the largest at its event."
        ),
    )
    threads: PositiveInt = Field(
        default=1, description="Threads of a likelihood call; the result does not depend on it."
    )


class FractionLikelihood(_Likelihood):
    """The tree shares the events among the components; their number says nothing."""

    kind: Literal["fractions"] = Field(default="fractions", description="Kind of likelihood.")


class ExtendedLikelihood(_Likelihood):
    """The expected counts of the components are free, and the number of events is data."""

    kind: Literal["extended"] = Field(description="Kind of likelihood.")
    amplitudes: dict[Name, Factor] = Field(
        min_length=1,
        description=(
            "Factor on the amplitude that the study gives to a component, the same in all"
            " observations. A split of the tree may stand for all components below it: they have"
            " its factor times their fractions."
        ),
    )
    nuisances: dict[Name, Nuisance] = Field(
        default={}, description="Further factors on expected counts, by name."
    )


def _kind(value: Any) -> Any:
    if isinstance(value, dict):
        return value.get("kind", "fractions")
    return getattr(value, "kind", None)


Likelihood = Annotated[
    Annotated[FractionLikelihood, Tag("fractions")]
    | Annotated[ExtendedLikelihood, Tag("extended")],
    Discriminator(_kind),
]


def check_amplitudes(amplitudes: Mapping[str, Factor], tree: Split) -> None:
    """Refuse amplitudes that do not give every component exactly one; ValueError says which."""
    splits = tree.splits()
    reached: list[str] = []
    for name in amplitudes:
        if name not in splits and name not in tree.leaves():
            raise ValueError(
                f"likelihood.amplitudes: '{name}' is neither a component nor a split of the tree;"
                f" these are {_names([*tree.leaves(), *splits])}"
            )
        reached += splits[name].leaves() if name in splits else [name]
    missing = [leaf for leaf in tree.leaves() if leaf not in reached]
    if missing:
        raise ValueError(
            f"likelihood.amplitudes: says nothing of {_names(missing)}; give each component a prior"
            " or {kind: fixed}"
        )
    twice = {leaf for leaf in reached if reached.count(leaf) > 1}
    if twice:
        raise ValueError(
            f"likelihood.amplitudes: {_names(twice)} has an amplitude of its own and one of a split"
            " above it; keep one of them"
        )


def check_nuisances(
    nuisances: Mapping[str, Nuisance], tree: Split, observations: Sequence[str]
) -> None:
    """Refuse nuisances of what the study does not hold; ValueError says which."""
    components = tree.leaves()
    for name, nuisance in nuisances.items():
        place = f"likelihood.nuisances.{name}"
        if name in ("amplitude", "fraction", "weight", "counts", "truth"):
            raise ValueError(f"{place}: this name is taken; choose another")
        named = [leaf for c in nuisance.components for leaf in tree.leaves_of(c)]
        if not set(named) <= set(components) or len(set(named)) < len(named):
            raise ValueError(
                f"{place}.components: must list components, each once, or splits that stand for"
                f" them; components are {_names(components)}"
            )
        if isinstance(nuisance.per, str):
            continue
        grouped = [o for group in nuisance.per.values() for o in group]
        if unknown := [o for o in grouped if o not in observations]:
            raise ValueError(
                f"{place}.per: {_names(unknown)} is not an observation; observations are"
                f" {_names(observations)}"
            )
        if not grouped or len(set(grouped)) < len(grouped):
            raise ValueError(
                f"{place}.per: must name at least one observation, and each in one group only"
            )


def _names(names: "Sequence[str] | set[str]") -> str:
    return ", ".join(f"'{name}'" for name in sorted(set(names)))

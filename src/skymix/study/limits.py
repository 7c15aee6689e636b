"""Settings of upper limits: the component, the channels, the masses, the simulations."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveInt, ValidationError, model_validator

from skymix.study.components import (
    AnyComponent,
    DarkMatter,
    DecayingDarkMatter,
    ScalarSinglet,
)
from skymix.study.likelihood import (
    ExtendedLikelihood,
    Factor,
    Likelihood,
    LogUniformFactor,
    Name,
    UniformFactor,
)
from skymix.study.mixture import Split
from skymix.study.observation import Observation, OnOffEvents
from skymix.study.parameters import Scan
from skymix.study.quantities import Energy, PositiveNumber, Section, Unit

if TYPE_CHECKING:
    from skymix.study.model import Study

OWN_SPECTRUM = "spectrum"
"""Stands for a channel where the component's own spectrum is searched for."""

_NODES = 25  # masses at most, where the study does not say which


class Limits(Section):
    """What the target `limits` of the workflow sets upper limits on, and for which masses."""

    component: Name = Field(
        description="Component of dark matter, or split of its channels, whose rate is limited."
    )
    channels: tuple[str, ...] = Field(
        default=(),
        description="Channels, each searched for alone; if absent the component's own spectrum.",
    )
    masses: Scan[Energy] | None = Field(
        default=None,
        description="Masses; if absent the nodes of the component's scan, thinned to 25 at most.",
    )
    level: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="Credibility of the limits."
    )
    upper: PositiveNumber | None = Field(
        default=None,
        description=(
            "Upper bound of the flat prior, as a factor on the component's own amplitude; if absent"
            " that of its amplitude in the likelihood."
        ),
    )
    draws: Annotated[int, Field(ge=1000)] = Field(
        default=4000, description="Draws from the posterior at each mass."
    )
    realisations: PositiveInt = Field(
        default=100, description="Number of simulations without the component."
    )
    per_job: PositiveInt = Field(default=25, description="Simulations that one job fits.")

    @model_validator(mode="after")
    def _plain(self) -> "Limits":
        if len(set(self.channels)) < len(self.channels):
            raise ValueError("limits.channels: names a channel twice")
        if self.masses is not None and (self.masses.prior or self.masses.name):
            raise ValueError(
                "limits.masses: has a prior or a name, but each mass is taken by itself; leave"
                " 'prior' and 'name' out"
            )
        return self

    def jobs(self) -> dict[str, tuple[str, int, int]]:
        """Channel, first simulation and the one after the last of each job, by its product."""
        return {
            f"{re.sub('[^A-Za-z0-9]+', '_', channel)}/{first}-{stop - 1}": (channel, first, stop)
            for channel in self.searches()
            for first in range(0, self.realisations, self.per_job)
            for stop in [min(first + self.per_job, self.realisations)]
        }

    def searches(self) -> tuple[str, ...]:
        """Channels that are searched for, one after the other."""
        return self.channels or (OWN_SPECTRUM,)


def check_limits(
    limits: Limits,
    components: Mapping[str, AnyComponent],
    tree: Split,
    likelihood: Likelihood,
    observations: Iterable[tuple[str, Observation]],
) -> None:
    """Refuse limits that cannot be set; ValueError says why."""
    parts = [components.get(name) for name in tree.leaves_of(limits.component)]
    searched_for = [c for c in parts if isinstance(c, DarkMatter | DecayingDarkMatter)]
    if len(searched_for) < len(parts):
        known = [n for n, c in components.items() if isinstance(c, DarkMatter | DecayingDarkMatter)]
        raise ValueError(
            f"limits.component: '{limits.component}' is not a component of dark matter; these are"
            f" {', '.join(known) or 'none'}"
        )
    component = searched_for[0]
    if limits.channels and limits.component in tree.splits():
        raise ValueError(
            f"limits.channels: the channels of '{limits.component}' have free fractions; leave"
            " 'channels' out to search for them all together, or give the component one spectrum"
        )
    if any(_without_channel(part) != _without_channel(component) for part in searched_for):
        raise ValueError(
            f"limits.component: the components of the split '{limits.component}' differ in more"
            " than their channels, so that no one amplitude can be limited"
        )
    if not isinstance(likelihood, ExtendedLikelihood):
        raise ValueError(
            "limits: need a likelihood of rates; set likelihood.kind to extended, with a prior for"
            " the amplitude of each component"
        )
    prior = likelihood.amplitudes.get(limits.component)
    if prior is None or prior.kind == "fixed":
        raise ValueError(
            f"limits.component: the amplitude of '{limits.component}' is not free; give it a prior"
            " of its own in likelihood.amplitudes"
        )
    if limits.upper is None and not isinstance(prior, UniformFactor | LogUniformFactor):
        raise ValueError(
            f"limits.upper: is needed, as the prior of the amplitude of '{limits.component}' has no"
            " upper bound"
        )
    if limits.masses is None and not isinstance(component.mass, Scan):
        raise ValueError(
            f"limits.masses: are needed, as components.{limits.component}.mass is a single one"
        )
    for name, observation in observations:
        if isinstance(observation.events, OnOffEvents):
            raise ValueError(
                f"limits: observation '{name}' counts its background beside an on region, which"
                " cannot be simulated; leave it out of the study"
            )
    for channel in limits.channels:
        try:
            _searched_component(component, limits, channel)
        except ValidationError as error:
            first = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ValueError(
                f"limits.channels: '{channel}' is not a channel of a {component.spectrum.kind}"
                f" spectrum ({first})"
            ) from None


def searched(study: "Study", channel: str) -> "Study":
    """The study as limits see it.

    The component has the channel's spectrum and the masses of the limits, its amplitude a flat
    prior from zero, and events are binned, so that they can be simulated cell by cell.
    """
    limits, likelihood = study.limits, study.likelihood
    assert limits is not None
    assert isinstance(likelihood, ExtendedLikelihood)
    parts = {
        name: _searched_component(component, limits, channel)
        for name, component in limited_components(study).items()
    }
    flat = UniformFactor(kind="uniform", lower=0.0, upper=largest_factor(study))
    amplitudes: dict[str, Factor] = {**likelihood.amplitudes, limits.component: flat}
    return study.model_copy(
        update={
            "components": {**study.components, **parts},
            "likelihood": likelihood.model_copy(update={"amplitudes": amplitudes}),
            "marginalisation": study.marginalisation.model_copy(update={"events": "binned"}),
        }
    )


def limited_components(study: "Study") -> dict[str, DarkMatter | DecayingDarkMatter]:
    """Components that the limited amplitude stands for: one, or the channels below a split."""
    assert study.limits is not None
    return {
        name: component
        for name in study.tree.leaves_of(study.limits.component)
        if isinstance(component := study.components[name], DarkMatter | DecayingDarkMatter)
    }


def _without_channel(component: DarkMatter | DecayingDarkMatter) -> dict[str, Any]:
    return component.model_dump(mode="json", exclude={"spectrum": {"channels"}})


def largest_factor(study: "Study") -> float:
    """Upper bound of the flat prior of the factor on the component's amplitude."""
    limits, likelihood = study.limits, study.likelihood
    assert limits is not None
    assert isinstance(likelihood, ExtendedLikelihood)
    if limits.upper is not None:
        return limits.upper
    prior = likelihood.amplitudes[limits.component]
    assert isinstance(prior, UniformFactor | LogUniformFactor)
    return prior.upper


def limited_amplitude(study: "Study") -> tuple[str, float, str]:
    """Field, value and unit of what the factor stands for: a cross-section, or a lifetime."""
    component = next(iter(limited_components(study).values()))
    field = "lifetime" if isinstance(component, DecayingDarkMatter) else "cross_section"
    marks = type(component).model_fields[field].metadata
    unit = next(mark.unit for mark in marks if isinstance(mark, Unit))
    return field, float(getattr(component, field)), unit


def _searched_component(
    component: DarkMatter | DecayingDarkMatter, limits: Limits, channel: str
) -> DarkMatter | DecayingDarkMatter:
    """The component with a channel's spectrum and the masses of the limits."""
    settings: dict[str, Any] = component.model_dump(mode="json")
    settings["mass"] = _masses(component, limits)
    if channel != OWN_SPECTRUM:
        settings["spectrum"] = _channel_spectrum(component, settings["spectrum"], channel)
    return type(component).model_validate(settings)


def _channel_spectrum(
    component: DarkMatter | DecayingDarkMatter, spectrum: Mapping[str, Any], channel: str
) -> dict[str, Any]:
    if isinstance(component.spectrum, ScalarSinglet):
        return {
            "kind": component.spectrum.spectra,
            "path": spectrum["path"],
            "channels": {channel: 1},
        }
    return {**spectrum, "channels": {channel: 1}}


def _masses(component: DarkMatter | DecayingDarkMatter, limits: Limits) -> dict[str, Any]:
    """Grid of masses, under the name that the mass has in the study."""
    scan = component.mass if isinstance(component.mass, Scan) else None
    if limits.masses is not None:
        grid = limits.masses.model_dump(mode="json", exclude={"prior", "name"})
    else:
        assert scan is not None
        grid = scan.model_dump(mode="json", exclude={"prior", "name"})
        step = -(-(scan.nodes - 1) // (_NODES - 1))
        grid["nodes"] = (scan.nodes - 1) // step + 1
    return {**grid, "name": mass_name(component, limits)}


def mass_name(component: AnyComponent, limits: Limits) -> str:
    """Name of the parameter that is the component's mass."""
    mass = getattr(component, "mass", None)
    named = mass.name if isinstance(mass, Scan) else None
    return named or f"{limits.component}.mass"

"""The study as a whole, and the checks that span its sections."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from skymix.study.analysis import Analysis
from skymix.study.calibration import Calibration
from skymix.study.channels import with_free_channels
from skymix.study.components import AnyComponent
from skymix.study.energy_scale import ENERGY_SCALE, EnergyScale
from skymix.study.likelihood import (
    ExtendedLikelihood,
    FractionLikelihood,
    Groups,
    Likelihood,
    Name,
    check_amplitudes,
    check_nuisances,
    word_or_groups,
)
from skymix.study.limits import Limits, check_limits
from skymix.study.mixture import Marginalisation, NestedSampler, Sampler, Split
from skymix.study.observation import (
    Grids,
    Jobs,
    Observation,
    ObservationTable,
    Region,
    Selection,
    SimulatedEvents,
)
from skymix.study.parameters import Scan
from skymix.study.quantities import Section


class Study(Analysis):
    """Everything that one analysis of gamma rays is made of."""

    domain: Literal["gamma"] = Field(default="gamma", description="Kind of analysis.")
    region: Region = Field(description="The part of the sky that is analysed.")
    grids: Grids = Field(description="Cells of the reconstructed and of the true space.")
    selection: Selection = Field(default=Selection(), description="Cuts on the events.")
    observations: dict[Name, Observation] = Field(
        default={}, min_length=1, description="Observations by name."
    )
    observation_table: ObservationTable | None = Field(
        default=None,
        description="Table of further observations, for many that differ in a few settings.",
    )
    components: dict[Name, AnyComponent] = Field(
        min_length=1, description="Source components by name."
    )
    tree: Split = Field(description="How the components share the events.")
    marginalisation: Marginalisation = Field(
        default=Marginalisation(), description="Integration over the true coordinates."
    )
    likelihood: Likelihood = Field(
        default=FractionLikelihood(), description="What is free of the components' rates."
    )
    energy_scales: dict[Name, EnergyScale] = Field(
        default={},
        description="Free factors on reconstructed energies, by name; one a telescope.",
    )
    fits: Annotated[
        Annotated[Literal["joint", "separate"], Tag("[word]")] | Groups,
        Discriminator(word_or_groups),
    ] = Field(
        default="joint",
        description=(
            "Which observations are fitted together: all (joint), each for itself (separate), or"
            " those that are listed under the name of a fit."
        ),
    )
    sampler: Sampler = Field(default=NestedSampler(), description="The sampler.")
    calibration: Calibration = Field(
        default=Calibration(), description="Surveys simulated to check the posteriors."
    )
    limits: Limits | None = Field(
        default=None, description="Upper limits on a component of dark matter."
    )
    jobs: Jobs = Field(default=Jobs(), description="How much work a job of the workflow gets.")

    @model_validator(mode="before")
    @classmethod
    def _free_channels(cls, raw: Any) -> Any:
        return with_free_channels(raw) if isinstance(raw, Mapping) else raw

    @model_validator(mode="after")
    def _tree_matches_components(self) -> "Study":
        self.tree.check_components(set(self.components))
        return self

    @model_validator(mode="after")
    def _grids_suit_region(self) -> "Study":
        self.grids.check_region(self.region)
        return self

    @model_validator(mode="after")
    def _energies_are_covered(self) -> "Study":
        for name, observation in self.observations.items():
            if observation.energy is not None:
                grids = self.grids.over(observation.energy)
                grids.check_energies(f"observations.{name}.energy: true_energy")
                grids.check_region(self.region)
        return self

    @model_validator(mode="after")
    def _energy_scales_name_what_exists(self) -> "Study":
        scaled: set[str] = set()
        for name, scale in self.energy_scales.items():
            place = f"energy_scales.{name}"
            if unknown := set(scale.observations) - set(self.observations):
                raise ValueError(
                    f"{place}.observations: {_names(unknown)} is not an observation; observations"
                    f" are {_names(set(self.observations))}"
                )
            if twice := scaled & set(scale.observations):
                raise ValueError(f"{place}.observations: {_names(twice)} already has a scale")
            scaled |= set(scale.observations)
            for observation in scale.observations:
                energy, true = self.grids_of(observation).energy, self.grids.true_energy
                low, high = energy.min / scale.factor.max, energy.max / scale.factor.min
                if low < true.min or high > true.max:
                    raise ValueError(
                        f"{place}.factor: takes the energies of {observation} to {low:.3g} to"
                        f" {high:.3g} TeV, which true_energy does not cover; widen it"
                    )
        parameters = {parameter_name(c, f, s) for c, f, s in self.scans()}
        if taken := parameters & {f"{ENERGY_SCALE}{name}" for name in self.energy_scales}:
            raise ValueError(
                f"energy_scales: {_names(taken)} is also the name of a scanned parameter; give one"
                " of them another name"
            )
        if scaled and not isinstance(self.likelihood, ExtendedLikelihood):
            raise ValueError(
                "energy_scales: need a likelihood of kind 'extended', because they change how many"
                " events are expected"
            )
        return self

    @model_validator(mode="after")
    def _shared_parameters_agree(self) -> "Study":
        seen: dict[str, tuple[str, Scan[float]]] = {}
        for component, field, scan in self.scans():
            name = parameter_name(component, field, scan)
            where = f"{component}.{field}"
            if name in seen and _prior_of(seen[name][1]) != _prior_of(scan):
                raise ValueError(
                    f"components: {seen[name][0]} and {where} share the parameter '{name}'"
                    " but differ in its range or prior; make them equal"
                )
            seen.setdefault(name, (where, scan))
        return self

    @model_validator(mode="after")
    def _likelihood_names_what_exists(self) -> "Study":
        likelihood = self.likelihood
        if not isinstance(likelihood, ExtendedLikelihood):
            return self
        check_amplitudes(likelihood.amplitudes, self.tree)
        check_nuisances(likelihood.nuisances, self.tree, list(self.observations))
        scanned = {parameter_name(c, f, s) for c, f, s in self.scans()}
        if taken := scanned & set(likelihood.nuisances):
            raise ValueError(
                f"likelihood.nuisances: {_names(taken)} is also the name of a scanned parameter;"
                " give one of them another name"
            )
        return self

    @model_validator(mode="after")
    def _fits_name_what_exists(self) -> "Study":
        if isinstance(self.fits, str):
            return self
        if not self.fits:
            raise ValueError("fits: must not be empty; name a fit, or use 'joint' or 'separate'")
        for fit, observations in self.fits.items():
            unknown = set(observations) - set(self.observations)
            if unknown:
                raise ValueError(
                    f"fits.{fit}: {_names(unknown)} is not an observation; observations are"
                    f" {_names(set(self.observations))}"
                )
            if not observations or len(set(observations)) < len(observations):
                raise ValueError(
                    f"fits.{fit}: must list at least one observation, and each only once"
                )
        return self

    @model_validator(mode="after")
    def _simulations_name_what_exists(self) -> "Study":
        parameters = {parameter_name(c, f, s): s for c, f, s in self.scans()}
        for name, observation in self.observations.items():
            events = observation.events
            if not isinstance(events, SimulatedEvents):
                continue
            place = f"observations.{name}.events"
            for component in events.counts:
                if component not in self.components:
                    raise ValueError(
                        f"{place}.counts: '{component}' is not a component;"
                        f" components are {_names(set(self.components))}"
                    )
            for parameter, value in events.parameters.items():
                if parameter not in parameters:
                    raise ValueError(
                        f"{place}.parameters: '{parameter}' is not a scanned parameter;"
                        f" scanned parameters are {_names(set(parameters))}"
                    )
                try:
                    parameters[parameter].parse(value)
                except ValueError as error:
                    raise ValueError(f"{place}.parameters.{parameter}: {error}") from None
            missing = set(parameters) - set(events.parameters)
            if missing:
                raise ValueError(
                    f"{place}.parameters: the true value of {_names(missing)} is needed to simulate"
                )
        return self

    @model_validator(mode="after")
    def _limits_can_be_set(self) -> "Study":
        if self.limits is not None:
            observations = self.observations.items()
            check_limits(self.limits, self.components, self.tree, self.likelihood, observations)
        return self

    @model_validator(mode="after")
    def _counts_are_binned(self) -> "Study":
        if self.marginalisation.events == "binned":
            return self
        for name, observation in self.observations.items():
            events = observation.events
            if isinstance(events, SimulatedEvents) and events.form == "counts":
                raise ValueError(
                    f"observations.{name}.events.form: counts in cells cannot be taken unbinned;"
                    " set marginalisation.events to binned, or simulate events"
                )
        return self

    def fitted(self) -> dict[str, tuple[str, ...]]:
        """Observations of each fit, by its name, in the order of the file.

        A fit of one observation has its name; a joint fit of all is called ``joint``.
        """
        names = tuple(self.observations)
        if isinstance(self.fits, dict):
            return {
                fit: tuple(name for name in names if name in chosen)
                for fit, chosen in self.fits.items()
            }
        if self.fits == "separate" or len(names) == 1:
            return {name: (name,) for name in names}
        return {"joint": names}

    def grids_of(self, observation: str) -> Grids:
        """Grids of an observation: the study's, but for energies of its own."""
        return self.grids.over(self.observations[observation].energy)

    def energy_scale(self, observation: str) -> "tuple[str, Scan[float]] | None":
        """Name and scan of the parameter that scales an observation's energies; None if fixed."""
        for name, scale in self.energy_scales.items():
            if observation in scale.observations:
                return f"{ENERGY_SCALE}{name}", scale.factor
        return None

    def scans(self) -> list[tuple[str, str, "Scan[float]"]]:
        """(component, dotted field, scan) of every scanned parameter, in the order of the file."""
        return [
            (name, field, scan)
            for name, component in self.components.items()
            for field, scan in component_scans(component)
        ]


def component_scans(section: Section, prefix: str = "") -> list[tuple[str, "Scan[float]"]]:
    """(dotted field, scan) of every scanned parameter of a component."""
    found: list[tuple[str, Scan[float]]] = []
    for field in type(section).model_fields:
        value = getattr(section, field)
        if isinstance(value, Scan):
            found.append((prefix + field, value))
        elif isinstance(value, Section):
            found += component_scans(value, f"{prefix}{field}.")
    return found


def true_values(study: Study, observation: str) -> dict[str, float]:
    """True value of each scanned parameter of a simulated observation, in the scan's unit."""
    events = study.observations[observation].events
    if not isinstance(events, SimulatedEvents):
        return {}
    return {
        name: scan.parse(events.parameters[name])
        for component, field, scan in study.scans()
        for name in [parameter_name(component, field, scan)]
    }


def parameter_name(component: str, field: str, scan: "Scan[float]") -> str:
    """Name of a scanned parameter: its own, else component and field."""
    return scan.name or f"{component}.{field.rsplit('.', 1)[-1]}"


def _prior_of(scan: "Scan[float]") -> object:
    return (*scan.prior_bounds(), scan.spacing if scan.prior is None else scan.prior)


def _names(names: set[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"

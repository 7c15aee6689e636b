"""From the study's settings to the mixture of a catalogue."""

from typing import Any

from skymix.domains.stars.control import parameters_of, with_fractions
from skymix.domains.stars.distances import OneDistance, SpaceDensity
from skymix.domains.stars.mixture import Component, Fixed, StarMixture
from skymix.domains.stars.normal import Normal
from skymix.domains.stars.sky import Profile
from skymix.domains.stars.terms import Factor
from skymix.errors import DataError
from skymix.mixture import Prior, Tree
from skymix.mixture.priors import LogUniform, Uniform
from skymix.store import Catalogue
from skymix.study import star_components as settings
from skymix.study.parameters import Free
from skymix.study.star_study import StarStudy


def mixture_of(study: StarStudy, catalogue: Catalogue) -> StarMixture:
    """Mixture of a study at the stars of its catalogue; with what a control region fixed.

    Raises
    ------
    DataError
        If a coordinate has the same value at all stars, so that nothing is uniform in it.
    """
    for name, values in zip(catalogue.names, catalogue.values.T, strict=True):
        if values.min() == values.max():
            raise DataError(
                f"{study.catalogue.path}: coordinate '{name}' is {values[0]:g} at every star;"
                " leave it out"
            )
    field = parameters_of(catalogue.field)
    tree = Tree.from_mapping(with_fractions(study.tree.model_dump(mode="json"), field))
    return StarMixture(catalogue, tree, _components(study), field)


def field_mixture(study: StarStudy, control: Catalogue) -> StarMixture:
    """Mixture of the components that are fitted to the stars of a control region alone.

    Raises
    ------
    DataError
        If there are fewer stars than parameters.
    """
    leaves, splits = study.fixed_leaves(), study.tree.splits()
    own = splits[study.control.node] if study.control and study.control.node in splits else None
    tree = own.model_dump(mode="json") if own else {"children": {leaves[0]: None}}
    components = [c for c in _components(study) if c.name in leaves]
    mixture = StarMixture(control, Tree.from_mapping(tree), components)
    if control.row.size < len(mixture.names):
        raise DataError(
            f"control.region: has {control.row.size} stars for {len(mixture.names)} parameters;"
            " make it larger"
        )
    return mixture


def _components(study: StarStudy) -> list[Component]:
    return [Component(name, _factors(c)) for name, c in study.components.items()]


def _factors(component: settings.StarComponent) -> tuple[Factor, ...]:
    densities = settings.factors_of(component)
    return tuple(f for d in densities if (f := _factor(d)) is not None)


def _factor(density: Any) -> Factor | None:
    match density:
        case settings.NormalDensity():
            return Normal(
                density.coordinates(),
                tuple(_prior(p) for p in density.mean.values()),
                tuple(_prior(density.sigma[name]) for name in _widths(density)),
                density.shape,
            )
        case settings.SpaceDensity(length=length):
            longest = float(length.max if isinstance(length, Free) else length)
            return SpaceDensity(density.coordinate, _prior(length), longest)
        case settings.OneDistance():
            return OneDistance(density.coordinate, _prior(density.distance))
        case settings.UniformDensity():
            return None
    concentration = getattr(density, "concentration", None)
    return Profile(
        density.kind,
        _prior(density.centre.lon),
        _prior(density.centre.lat),
        _prior(density.scale),
        None if concentration is None else _prior(concentration),
    )


def _widths(density: settings.NormalDensity) -> tuple[str, ...]:
    return ("all",) if density.shape == "isotropic" else tuple(density.mean)


def _prior(value: "float | Free[float]") -> Prior:
    if not isinstance(value, Free):
        return Fixed(float(value))
    kind = LogUniform if value.spacing == "log" else Uniform
    return kind(float(value.min), float(value.max))


def units_of(study: StarStudy, mixture: StarMixture) -> dict[str, str]:
    """Unit of each parameter that has one."""
    units = {name: c.unit for name, c in study.catalogue.coordinates.items()}
    units |= {"lon": "deg", "lat": "deg", "scale": "deg", "length": "kpc", "distance": "kpc"}
    found = {}
    for name in mixture.priors:
        _, kind, *rest = name.split(".")
        if kind == "rho" or kind == "concentration":
            continue
        component = mixture.components[mixture.tree.leaves.index(name.split(".")[0])]
        key = rest[0] if rest else kind if kind in units else component.coordinates[0]
        if kind == "sigma" and not rest:
            normal = next(f for f in component.factors if isinstance(f, Normal))
            key = normal.coordinates[0]
        found[name] = units[key]
    return found

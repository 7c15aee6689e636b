"""Parameters and leaf weights of a fit as the report shows them."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from skymix.axes import FloatArray
from skymix.report.inputs import Fit
from skymix.report.rounding import Summary, summarise
from skymix.study import Fixed, Split, Study
from skymix.study.energy_scale import ENERGY_SCALE

WEIGHT = "weight."
COUNTS = "counts."
FRACTION = "fraction."


@dataclass(frozen=True, eq=False)
class Quantity:
    """One quantity of the posterior.

    Parameters
    ----------
    name : name in posterior.nc
    unit : astropy notation, empty if it has none
    draws : (ndraw,) equal-weight posterior draws
    prior : (nprior,) draws from the prior, empty if there are none
    truth : true value if the events were simulated, else None
    logarithmic : whether its grid has logarithmic spacing
    """

    name: str
    unit: str
    draws: FloatArray
    prior: FloatArray
    truth: float | None
    logarithmic: bool

    @cached_property
    def summary(self) -> Summary:
        """Intervals of the posterior."""
        return summarise(self.draws)

    @property
    def varies(self) -> bool:
        """Whether the posterior leaves it free at all."""
        return bool(np.ptp(self.draws) > 0)

    @property
    def truth_within(self) -> str:
        """Smallest of the two intervals that hold the truth: "68 %", "95 %" or "outside"."""
        if self.truth is None:
            return ""
        s = self.summary
        if s.lower_68 <= self.truth <= s.upper_68:
            return "68 %"
        return "95 %" if s.lower_95 <= self.truth <= s.upper_95 else "outside"


def free_parameters(fit: Fit, study: Study) -> list[Quantity]:
    """Return what the sampler explored, without the fraction that its siblings determine."""
    everything = quantities_of(fit.posterior, _logarithmic(fit))
    others = {*nuisance_names(fit), *_rates(fit).get("physical", ())}
    found = [
        q for q in everything if not q.name.startswith((WEIGHT, COUNTS)) and q.name not in others
    ]
    determined = _determined(study.tree, {q.name for q in found})
    return [q for q in found if q.name not in determined and q.varies]


def nuisance_names(fit: Fit) -> tuple[str, ...]:
    """Names of the nuisance parameters of a fit: factors on counts, then energy scales."""
    factors = (nuisance["name"] for nuisance in _rates(fit).get("nuisances", ()))
    scales = (name for name in fit.likelihood.parameters if name.startswith(ENERGY_SCALE))
    return tuple(dict.fromkeys([*factors, *scales]))


def nuisance_parameters(fit: Fit) -> list[Quantity]:
    """Nuisance parameters of a fit."""
    found = {q.name: q for q in quantities_of(fit.posterior)}
    return [found[name] for name in nuisance_names(fit) if name in found]


def physical_amplitudes(fit: Fit) -> list[Quantity]:
    """Amplitudes in physical units that follow from the factors of an extended likelihood."""
    found = {q.name: q for q in quantities_of(fit.posterior)}
    return [found[name] for name in _rates(fit).get("physical", ()) if name in found]


def _rates(fit: Fit) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fit.likelihood.rates)
    return found


def leaf_weights(fit: Fit) -> list[Quantity]:
    """Share of each leaf in the events, in the order of the tree."""
    found = {q.name: q for q in quantities_of(fit.posterior)}
    wanted = [WEIGHT + leaf for leaf in fit.diagnostics.leaves]
    return [found[name] for name in wanted if name in found]


def quantities_of(tree: xr.DataTree, logarithmic: Collection[str] = ()) -> list[Quantity]:
    """Every variable of a posterior that is finite in all draws, in the order of the file.

    Parameters
    ----------
    tree : content of posterior.nc
    logarithmic : names of the parameters whose grid has logarithmic spacing
    """
    names = [str(name) for name in tree["posterior"].data_vars if not _lacking(tree, str(name))]
    return [_quantity(tree, name, name in logarithmic) for name in names]


def undefined_variables(tree: xr.DataTree) -> list[str]:
    """A sentence for each variable that is not finite in some draws, and so is left out."""
    draws = tree["posterior"].sizes["chain"] * tree["posterior"].sizes["draw"]
    lacking = {str(name): _lacking(tree, str(name)) for name in tree["posterior"].data_vars}
    return [
        f"{name} is not a finite number in {n} of {draws} draws, and is left out of the tables."
        for name, n in lacking.items()
        if n
    ]


def _lacking(tree: xr.DataTree, name: str) -> int:
    """Number of draws in which a variable is not finite."""
    values = np.asarray(tree["posterior"][name].values, dtype=np.float64)
    return int(np.count_nonzero(~np.isfinite(values)))


def _logarithmic(fit: Fit) -> set[str]:
    spacings = zip(fit.likelihood.parameters, fit.likelihood.spacings, strict=True)
    amplitudes = _rates(fit).get("amplitudes", {})
    return {name for name, spacing in spacings if spacing == "log"} | {
        f"amplitude.{name}" for name, prior in amplitudes.items() if prior["kind"] == "log_uniform"
    }


def _determined(split: Split, names: set[str]) -> set[str]:
    """Fractions that follow from the others: the last child's, or all of a fixed split."""
    own = [FRACTION + child for child in split.children]
    found: set[str] = set()
    if isinstance(split.prior, Fixed):
        found |= set(own)
    elif names.issuperset(own):
        found.add(own[-1])
    for child in split.children.values():
        if child is not None:
            found |= _determined(child, names)
    return found


def _quantity(tree: xr.DataTree, name: str, logarithmic: bool) -> Quantity:
    variable = tree["posterior"][name]
    prior = _group_variable(tree, "prior", name)
    truth = _group_variable(tree, "constant_data", f"truth.{name}")
    return Quantity(
        name,
        str(variable.attrs.get("unit", "")),
        np.asarray(variable.values, dtype=np.float64).ravel(),
        np.empty(0) if prior is None else prior,
        None if truth is None else float(truth[0]),
        logarithmic,
    )


def _group_variable(tree: xr.DataTree, group: str, name: str) -> FloatArray | None:
    if group not in tree.children or name not in tree[group].data_vars:
        return None
    return np.asarray(tree[group][name].values, dtype=np.float64).ravel()

"""What a report is made of: the study, and the products of each of its fits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from skymix.errors import DataError
from skymix.store import Diagnostics, Events, LikelihoodTables
from skymix.store.limits import Limits
from skymix.study import Study


@dataclass(frozen=True, eq=False)
class Fit:
    """Products of one fit.

    Parameters
    ----------
    name : name of the fit, a folder name
    posterior : tree as `skymix.store.posterior.read_posterior` gives it
    diagnostics, likelihood : products of the stages of these names
    events : event lists of the observations that the fit combines
    products : root attributes (as `skymix.store.read_provenance` gives them) of every product
        that the fit rests on, by the product's path in the folder of results
    limits : upper limits on dark matter, if there are any

    Raises
    ------
    DataError
        If the products do not belong together.
    """

    name: str
    posterior: xr.DataTree
    diagnostics: Diagnostics
    likelihood: LikelihoodTables
    events: tuple[Events, ...]
    products: Mapping[str, Mapping[str, Any]]
    limits: Limits | None = None

    def __post_init__(self) -> None:
        expected = self.diagnostics.observations
        found = tuple(events.observation for events in self.events)
        if sorted(found) != sorted(expected):
            raise DataError(
                f"fit '{self.name}': its diagnostics are of the observations {_names(expected)}"
                f" and its events of {_names(found)}; run the later stages again"
            )
        if "posterior" not in self.posterior.children:
            raise DataError(
                f"fit '{self.name}': the posterior file has no group 'posterior';"
                " delete it and run again"
            )

    @property
    def simulated(self) -> bool:
        """Whether the true component of its events is known."""
        return all(bool((events.true_component >= 0).all()) for events in self.events)


@dataclass(frozen=True, eq=False)
class ReportInput:
    """All that the report shows.

    Parameters
    ----------
    study : the checked study
    fits : its fits, in the order of the report
    versions : version of each package, by name (see `skymix.report.installed_versions`)
    """

    study: Study
    fits: tuple[Fit, ...]
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        names = [fit.name for fit in self.fits]
        if not names or len(set(names)) != len(names):
            raise DataError(
                f"study '{self.study.name}': a report needs at least one fit, each with a name of"
                f" its own; these are {_names(names)}"
            )
        leaves = tuple(self.study.tree.leaves())
        for fit in self.fits:
            if tuple(fit.diagnostics.leaves) != leaves:
                raise DataError(
                    f"fit '{fit.name}': its components are {_names(fit.diagnostics.leaves)} and"
                    f" those of the study {_names(leaves)}; run the fit again"
                )


def _names(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"

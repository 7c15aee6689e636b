"""Scanned parameters of a component, and the values that its settings take on a set of rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.gamma.components.base import Parameter
from skymix.errors import StudyError
from skymix.study.model import component_scans, parameter_name
from skymix.study.parameters import Scan
from skymix.study.quantities import Section, Unit

Setting: TypeAlias = "float | Scan[float]"
"""A component's parameter: a fixed value or a scanned range."""


def scanned_parameters(
    component: str, settings: Section, sky_section: str | None = None
) -> tuple[Parameter, ...]:
    """Parameters of a component in the order of its settings.

    Parameters
    ----------
    component : name of the component
    settings : its settings
    sky_section : name of the section whose parameters shape the morphology

    Raises
    ------
    StudyError
        If two settings of the component share a parameter.
    """
    parameters = tuple(
        Parameter(
            name=parameter_name(component, field, scan),
            field=field,
            unit=_unit(scan),
            nodes=scan_nodes(scan),
            spacing=scan.spacing,
            shapes_sky=sky_section is not None and field.startswith(f"{sky_section}."),
        )
        for field, scan in component_scans(settings)
    )
    names = [parameter.name for parameter in parameters]
    for parameter in parameters:
        if names.count(parameter.name) > 1:
            raise StudyError(
                f"components.{component}.{parameter.field}: '{parameter.name}' names two parameters"
                " of this component; give each its own name"
            )
    return parameters


def scan_nodes(scan: "Scan[float]") -> FloatArray:
    """Nodes of a scanned parameter, in its unit."""
    space = np.geomspace if scan.spacing == "log" else np.linspace
    return space(scan.min, scan.max, scan.nodes, dtype=np.float64)


def _unit(scan: "Scan[float]") -> str:
    metadata = type(scan).model_fields["min"].metadata
    return next((item.unit for item in metadata if isinstance(item, Unit)), "")


@dataclass(frozen=True, eq=False)
class Values:
    """What each setting of a component is worth, fixed or scanned.

    Parameters
    ----------
    component : name of the component
    sky : value of each scanned parameter that shapes the morphology, by name
    rows : (nrow,) values of each other scanned parameter, by name; empty for one row
    """

    component: str
    sky: Mapping[str, float]
    rows: Mapping[str, FloatArray]

    @property
    def nrow(self) -> int:
        """Number of rows."""
        return max((np.size(column) for column in self.rows.values()), default=1)

    def row(self, field: str, setting: Setting) -> FloatArray:
        """Values of a setting, (nrow,)."""
        if isinstance(setting, Scan):
            column = self.rows[parameter_name(self.component, field, setting)]
            return np.asarray(column, dtype=np.float64)
        return np.full(self.nrow, setting)

    def scalar(self, field: str, setting: Setting) -> float:
        """Value of a setting that shapes the morphology."""
        if isinstance(setting, Scan):
            return float(self.sky[parameter_name(self.component, field, setting)])
        return setting

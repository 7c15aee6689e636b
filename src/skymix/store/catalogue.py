"""Stars of one fit: measured coordinates with their errors, place on the sky, true class."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from skymix.axes import FloatArray, IntArray
from skymix.store.base import array, scalar


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Stars with their measured coordinates.

    Parameters
    ----------
    names, units : (ndim,) of the coordinates
    values : (nstar, ndim)
    covariance : (nstar, ndim, ndim) of the measurement errors
    row : (nstar,) row in the file, from 0
    removed : JSON: number of stars that each selection removed, in the order of application
    sky : (nstar, 2) offset from the centre of the selected region; empty without a region
    inner_radius, outer_radius : of the region
    member : (nstar,) 1 for members by the labels, 0 for others, -1 where nothing is known; empty
        without labels
    field : JSON: parameters of the components that a control region fixed, the fractions of their
        splits among them, and its number of stars; empty without one
    """

    schema_name: ClassVar[str] = "catalogue"
    schema_version: ClassVar[int] = 2

    names: tuple[str, ...] = scalar()
    units: tuple[str, ...] = scalar()
    values: FloatArray = array("", ("star", "coordinate"))
    covariance: FloatArray = array("", ("star", "coordinate", "other_coordinate"))
    row: IntArray = array("", ("star",), "i8")
    removed: str = scalar(default="{}")
    sky: FloatArray = array("deg", ("star", "direction"), optional=True)
    inner_radius: float = scalar("deg", default=0.0)
    outer_radius: float = scalar("deg", default=0.0)
    member: IntArray = array("", ("star",), "i8", optional=True)
    field: str = scalar(default="")

    @property
    def radii(self) -> tuple[float, float]:
        """Inner and outer radius of the region, deg."""
        return self.inner_radius, self.outer_radius

    @property
    def cuts(self) -> dict[str, int]:
        """Number of stars that each selection removed."""
        found: dict[str, int] = json.loads(self.removed)
        return found

    def measured(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Values, (nstar, n), and covariances, (nstar, n, n), of some coordinates."""
        index = np.array([self.names.index(name) for name in names])
        return self.values[:, index], self.covariance[:, index[:, None], index]

"""The Galactic ridge: a Gaussian in Galactic longitude and latitude times a power law.

Diffuse TeV emission about the Galactic Centre, Aharonian et al. 2006, Nature 439, 695: mean
intensity over |l| < 0.8 deg, |b| < 0.3 deg of 1.73e-8 TeV-1 cm-2 s-1 sr-1 at 1 TeV, index 2.29.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skymix.axes import FloatArray, Grid
from skymix.domains.gamma.components.base import GridMorphology, Parameter, Term
from skymix.domains.gamma.components.parameters import Values, scanned_parameters
from skymix.domains.gamma.components.radial import cell_means
from skymix.domains.gamma.components.spectra import PER_M2, power_law
from skymix.domains.gamma.geometry import RegionFrame
from skymix.study.components import GalacticRidge


@dataclass(frozen=True, eq=False)
class RidgeSource:
    """The Galactic ridge as a `Source`.

    Parameters
    ----------
    component : name of the component
    settings : its settings
    """

    component: str
    settings: GalacticRidge

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The index, if it is scanned."""
        return scanned_parameters(self.component, self.settings)

    def terms(
        self,
        grid: Grid,
        frame: RegionFrame,
        sky: Mapping[str, float],
        rows: Mapping[str, FloatArray],
    ) -> tuple[Term, ...]:
        """One term: shape that is 1 at the Galactic Centre, spectrum in m-2 s-1 sr-1."""
        settings = self.settings

        def shape(lon: FloatArray, lat: FloatArray) -> FloatArray:
            x, y = frame.to_frame(lon, lat, "galactic")
            square = (x / settings.lon_sigma) ** 2 + (y / settings.lat_sigma) ** 2
            return np.asarray(np.exp(-0.5 * square))

        steps = [np.diff(edges).max() for edges in (grid.sky.lon_edges, grid.sky.lat_edges)]
        # Four nodes resolve a cell of one standard deviation; wider cells get more.
        narrowest = min(settings.lon_sigma, settings.lat_sigma)
        order = 4 * max(1, int(np.ceil(max(steps) / narrowest)))
        values = Values(self.component, sky, rows)
        spectrum = power_law(
            grid.energy.edges,
            np.full(values.nrow, settings.amplitude * PER_M2),
            values.row("index", settings.index),
            settings.reference,
        )
        return (Term(GridMorphology(cell_means(grid.sky, shape, order)), spectrum),)

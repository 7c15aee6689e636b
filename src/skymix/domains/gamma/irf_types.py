"""IRFs of a DL3 file as plain arrays: energies in TeV, angles in deg, areas in m2."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skymix.axes import FloatArray
from skymix.domains.gamma.psf_models import PSFModel


@dataclass(frozen=True)
class Stated:
    """What a study says about a background table that does not say it itself.

    Parameters
    ----------
    unit : FITS unit of its values, None if the file must give it
    alignment : FOVALIGN, None if the file must give it
    """

    unit: str | None = None
    alignment: str | None = None


NOTHING_STATED = Stated()
"""The file must say everything itself."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Nodes of an IRF axis, and the edges of what it covers.

    Parameters
    ----------
    nodes : (n,) centres, TeV or deg
    edges : (n + 1,) same unit
    binned : whether the file gives bins; else it gives points, and the edges are gammapy's
    """

    nodes: FloatArray
    edges: FloatArray
    binned: bool

    @property
    def low(self) -> float:
        """Where the table begins."""
        return float(self.edges[0] if self.binned else self.nodes[0])

    @property
    def high(self) -> float:
        """Where the table ends."""
        return float(self.edges[-1] if self.binned else self.nodes[-1])


@dataclass(frozen=True, eq=False)
class EffectiveArea:
    """`values` (noffset, nenergy) m2."""

    energy: Axis
    offset: Axis
    values: FloatArray


@dataclass(frozen=True, eq=False)
class EnergyDispersion:
    """`cumulative` (noffset, nenergy, nmigra + 1) at the edges of E_reco / E_true, 0 to 1."""

    energy: Axis
    offset: Axis
    migra_edges: FloatArray
    cumulative: FloatArray
    defined: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PSF:
    """One model an offset node."""

    energy: Axis
    offset: Axis
    models: tuple[PSFModel, ...]


@dataclass(frozen=True, eq=False)
class Background:
    """`values` (nenergy, nlon, nlat) s-1 TeV-1 sr-1, fov_lon increasing with right ascension."""

    energy: Axis
    lon: Axis
    lat: Axis
    values: FloatArray


@dataclass(frozen=True, eq=False)
class RadialBackground:
    """`values` (nenergy, noffset) s-1 TeV-1 sr-1."""

    energy: Axis
    offset: Axis
    values: FloatArray


@dataclass(frozen=True, eq=False)
class IRFTables:
    """The four responses of one file."""

    area: EffectiveArea
    edisp: EnergyDispersion
    psf: PSF
    background: Background | RadialBackground
    instrument: str

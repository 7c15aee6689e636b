"""The H.E.S.S. Galactic plane survey (H.E.S.S. Collaboration 2018, A&A 612, A1) as a component.

Each source has the spectrum (power law, or one with a cut-off) and the morphology (point, Gaussian,
several Gaussians, shell) that the catalogue prefers. The table is read with astropy: no gammapy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from skymix.axes import FloatArray, Grid, SkyGrid
from skymix.domains.gamma.components.base import (
    GridMorphology,
    Parameter,
    PointMorphology,
    Term,
)
from skymix.domains.gamma.components.files import data_path, read_hdus
from skymix.domains.gamma.components.radial import radial_cell_means
from skymix.domains.gamma.components.source import REACH, distance_to, gaussian_morphology
from skymix.domains.gamma.components.spectra import PER_M2, cutoff_power_law, power_law
from skymix.domains.gamma.geometry import RegionFrame
from skymix.errors import DataError, StudyError
from skymix.study.components import Catalogue
from skymix.study.files import PLANE_SURVEY

# The catalogue gives a shell's outer radius only; its width is taken to be 5 % of it, as gammapy.
_INNER = 0.95


@dataclass(frozen=True)
class Lobe:
    """A part of a source: a point, a Gaussian or a shell.

    Parameters
    ----------
    lon, lat : Galactic, deg
    size : standard deviation or outer radius, deg; zero for a point
    shell : whether it is a shell
    share : of the source's flux
    """

    lon: float
    lat: float
    size: float
    shell: bool
    share: float

    @property
    def reach(self) -> float:
        """Radius within which its photons come from, deg."""
        return self.size if self.shell else REACH * self.size

    def morphology(self, sky: SkyGrid, lon: float, lat: float) -> GridMorphology | PointMorphology:
        """Morphology integrating to 1, at a position in the region frame."""
        if self.shell:
            shell = ProjectedShell(np.radians(_INNER * self.size), np.radians(self.size))
            return GridMorphology(radial_cell_means(sky, lon, lat, shell, self.size))
        return gaussian_morphology(sky, lon, lat, self.size)


@dataclass(frozen=True)
class CatalogueEntry:
    """One source: dN/dE = amplitude (E / reference)^-index exp(-inverse_cutoff E).

    Parameters
    ----------
    amplitude : TeV-1 cm-2 s-1 at the reference energy
    reference : TeV
    inverse_cutoff : TeV-1, zero without cut-off
    """

    name: str
    index: float
    amplitude: float
    reference: float
    inverse_cutoff: float
    lobes: tuple[Lobe, ...]

    def spectrum(self, edges: FloatArray) -> FloatArray:
        """Integral over each energy cell, (1, nenergy) m-2 s-1."""
        amplitude, index = np.array([self.amplitude * PER_M2]), np.array([self.index])
        if self.inverse_cutoff == 0:
            return power_law(edges, amplitude, index, self.reference)
        # The catalogue's amplitude leaves the exponential out, so this is its own formula.
        cutoff = np.array([1 / self.inverse_cutoff])
        return cutoff_power_law(edges, amplitude, index, cutoff, self.reference)


@dataclass(frozen=True)
class ProjectedShell:
    """A uniformly bright shell seen in projection: a `RadialIntensity` that integrates to 1.

    The content within psi is that of the shell within a cylinder of that radius.

    Parameters
    ----------
    inner, outer : radii, rad
    """

    inner: float
    outer: float

    def intensity(self, psi: FloatArray) -> FloatArray:
        """Intensity in the flat limit psi = sin(psi), sr-1."""
        depth = np.sqrt(np.maximum(self.outer**2 - psi**2, 0.0))
        depth = depth - np.sqrt(np.maximum(self.inner**2 - psi**2, 0.0))
        return np.asarray(3 / (2 * np.pi) * depth / (self.outer**3 - self.inner**3))

    def cumulative(self, psi: FloatArray) -> FloatArray:
        """Content within psi over 2 pi."""

        def ball(radius: float) -> FloatArray:
            return np.asarray(radius**3 - np.maximum(radius**2 - psi**2, 0.0) ** 1.5)

        return (ball(self.outer) - ball(self.inner)) / (2 * np.pi * (self.outer**3 - self.inner**3))


@dataclass(frozen=True, eq=False)
class CatalogueSources:
    """The catalogue as a `Source` without parameters.

    Parameters
    ----------
    component : name of the component
    entries : sources that are not excluded
    """

    component: str
    entries: tuple[CatalogueEntry, ...]

    @classmethod
    def from_settings(cls, component: str, settings: Catalogue, data: Path) -> "CatalogueSources":
        """Read the catalogue and leave out the excluded sources.

        Raises
        ------
        DataError
            If the file is missing or not the catalogue.
        StudyError
            If an excluded source is not in it.
        """
        key = f"components.{component}"
        entries = read_hgps(data_path(data, settings.path, PLANE_SURVEY, f"{key}.path"))
        names = [entry.name for entry in entries]
        for name in settings.exclude:
            if name not in names:
                near = get_close_matches(name, names, n=3, cutoff=0.3)
                raise StudyError(
                    f"{key}.exclude: '{name}' is not in the catalogue; nearest names are"
                    f" {', '.join(near) or 'none'}"
                )
        return cls(component, tuple(e for e in entries if e.name not in settings.exclude))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """None: the component is fixed."""
        return ()

    def reaching(
        self, sky: SkyGrid, frame: RegionFrame
    ) -> dict[CatalogueEntry, list[tuple[float, float]]]:
        """Sources of which a part reaches the sky grid, and where their parts are, deg."""
        lobes = [lobe for entry in self.entries for lobe in entry.lobes]
        galactic = np.array([(lobe.lon, lobe.lat) for lobe in lobes]).T
        local = frame.from_frame(galactic[0], galactic[1], "galactic")
        places = zip(*(angle.tolist() for angle in local), strict=True)
        found = {entry: [next(places) for _ in entry.lobes] for entry in self.entries}
        return {
            entry: at
            for entry, at in found.items()
            if any(
                distance_to(sky, *place) <= lobe.reach
                for lobe, place in zip(entry.lobes, at, strict=True)
            )
        }

    def terms(
        self,
        grid: Grid,
        frame: RegionFrame,
        sky: Mapping[str, float],
        rows: Mapping[str, FloatArray],
    ) -> tuple[Term, ...]:
        """A term for each part of each source: morphology integrating to 1, spectrum in m-2 s-1.

        Raises
        ------
        StudyError
            If no source reaches the true sky.
        """
        entries = self.reaching(grid.sky, frame)
        if not entries:
            raise StudyError(
                f"components.{self.component}: no source of the catalogue reaches the true sky;"
                " leave the component out or move the region"
            )
        return tuple(
            Term(
                lobe.morphology(grid.sky, lon, lat),
                lobe.share * entry.spectrum(grid.energy.edges),
            )
            for entry, places in entries.items()
            for lobe, (lon, lat) in zip(entry.lobes, places, strict=True)
        )


def read_hgps(path: Path) -> tuple[CatalogueEntry, ...]:
    """Read hgps_catalog_v1.fits.gz.

    Raises
    ------
    DataError
        If the file is not the catalogue, or a source has no spectrum or morphology known here.
    """
    tables = {name: data for name, _, data in read_hdus(path)}
    try:
        sources, parts = tables["HGPS_SOURCES"], tables["HGPS_GAUSS_COMPONENTS"]
        components = {str(row["Component_ID"]).strip(): row for row in parts}
        return tuple(_entry(row, components) for row in sources)
    except KeyError as error:
        raise DataError(
            f"{path}: {error} is missing; the H.E.S.S. plane survey catalogue"
            " hgps_catalog_v1.fits.gz is needed"
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _entry(row: Any, components: Mapping[str, Any]) -> CatalogueEntry:
    name, kind = str(row["Source_Name"]).strip(), str(row["Spectral_Model"]).strip()
    if kind not in ("PL", "ECPL"):
        raise ValueError(f"{name}: its spectral model '{kind}' is not PL or ECPL")
    entry = CatalogueEntry(
        name=name,
        index=float(row[f"Index_Spec_{kind}"]),
        amplitude=float(row[f"Flux_Spec_{kind}_Diff_Pivot"]),
        reference=float(row[f"Energy_Spec_{kind}_Pivot"]),
        inverse_cutoff=float(row["Lambda_Spec_ECPL"]) if kind == "ECPL" else 0.0,
        lobes=_lobes(name, row, components),
    )
    numbers = [entry.index, entry.amplitude, entry.reference, entry.inverse_cutoff]
    numbers += [x for lobe in entry.lobes for x in (lobe.lon, lobe.lat, lobe.size, lobe.share)]
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"{name}: a number of its spectrum or morphology is missing")
    return entry


def _lobes(name: str, row: Any, components: Mapping[str, Any]) -> tuple[Lobe, ...]:
    kind = str(row["Spatial_Model"]).strip()
    lon, lat, size = float(row["GLON"]), float(row["GLAT"]), float(row["Size"])
    if kind in ("2-Gaussian", "3-Gaussian"):
        parts = [components[key.strip()] for key in str(row["Components"]).split(",")]
        total = sum(float(part["Flux_Map"]) for part in parts)
        return tuple(
            Lobe(
                float(part["GLON"]),
                float(part["GLAT"]),
                float(part["Size"]),
                shell=False,
                share=float(part["Flux_Map"]) / total,
            )
            for part in parts
        )
    if kind == "Point-Like" or (kind == "Gaussian" and np.isnan(size)):
        # A Gaussian with no more than an upper limit on its size is compatible with a point.
        return (Lobe(lon, lat, 0.0, shell=False, share=1.0),)
    if kind in ("Gaussian", "Shell"):
        return (Lobe(lon, lat, size, shell=kind == "Shell", share=1.0),)
    raise ValueError(f"{name}: its spatial model '{kind}' is unknown")

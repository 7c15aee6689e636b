"""Annihilating or decaying dark matter: photon spectrum times the J- or D-factor of its halo.

Annihilation: d(flux)/dE dOmega = <sigma v> / (8 pi m^2) dN/dE dJ/dOmega, for particles that are
their own antiparticles (Bergstrom, Ullio and Buckley 1998, Astropart. Phys. 9, 137). Decay:
1 / (4 pi m tau) dN/dE dD/dOmega, where dN/dE is that of an annihilation at m / 2, with the same
energy in the centre of mass (Cirelli et al. 2011, JCAP 03, 051).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skymix.axes import FloatArray, Grid
from skymix.domains.gamma.components.annihilation import AnnihilationSpectrum, ClosedForm
from skymix.domains.gamma.components.base import GridMorphology, Parameter, Term
from skymix.domains.gamma.components.cosmixs import read_cosmixs
from skymix.domains.gamma.components.files import data_path
from skymix.domains.gamma.components.hdmspectra import read_hdmspectra
from skymix.domains.gamma.components.parameters import Values, scanned_parameters
from skymix.domains.gamma.components.pppc4dmid import read_pppc4dmid
from skymix.domains.gamma.components.radial import radial_cell_means
from skymix.domains.gamma.components.scalar_singlet import (
    COSMIXS_STATES,
    FINAL_STATES,
    SingletCrossSections,
    SingletSpectrum,
)
from skymix.domains.gamma.components.spectrum_table import TabulatedChannels
from skymix.domains.gamma.geometry import RegionFrame
from skymix.domains.gamma.halo import Halo, JFactorTable, burkert, einasto, generalised_nfw
from skymix.errors import StudyError
from skymix.study.components import (
    NFW,
    Annihilation,
    Burkert,
    ClosedFormAnnihilation,
    DarkMatter,
    DecayingDarkMatter,
    Einasto,
    GeneralisedNFW,
    Profile,
    TabulatedAnnihilation,
)
from skymix.study.files import ANNIHILATION_SPECTRA, SINGLET_CROSS_SECTIONS

# GeV2 cm-5 in TeV2 m-5, GeV cm-2 in TeV m-2, and cm3 in m3.
_J_UNIT = 1e-6 * 1e10
_D_UNIT = 1e-3 * 1e4
_CM3 = 1e-6
_READERS = {
    "pppc4dmid": read_pppc4dmid,
    "cosmixs": read_cosmixs,
    "hdmspectra": read_hdmspectra,
}
_MOORE_SLOPE = 1.16


@dataclass(frozen=True, eq=False)
class DarkMatterSource:
    """Dark matter as a `Source`.

    Parameters
    ----------
    component : name of the component
    settings : its settings
    spectrum : photons of an annihilation
    """

    component: str
    settings: DarkMatter | DecayingDarkMatter
    spectrum: AnnihilationSpectrum

    @classmethod
    def from_settings(
        cls, component: str, settings: DarkMatter | DecayingDarkMatter, data: Path
    ) -> "DarkMatterSource":
        """Source with the tables that its spectrum needs, read from the data folder."""
        where = f"components.{component}.spectrum"
        return cls(component, settings, _annihilation(settings.spectrum, data, where))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Scanned parameters; those of the profile shape the sky."""
        return scanned_parameters(self.component, self.settings, sky_section="profile")

    def terms(
        self,
        grid: Grid,
        frame: RegionFrame,
        sky: Mapping[str, float],
        rows: Mapping[str, FloatArray],
    ) -> tuple[Term, ...]:
        """One term: dJ/dOmega in TeV2 m-5 sr-1, spectrum in TeV-2 m3 s-1.

        Of a decay: dD/dOmega in TeV m-2 sr-1, spectrum in TeV-1 s-1.

        Raises
        ------
        StudyError
            If a mass is outside the tables or leaves no photon in the true energies, or the cusp
            is too steep for a finite flux.
        """
        values = Values(self.component, sky, rows)
        power, unit = (2, _J_UNIT) if isinstance(self.settings, DarkMatter) else (1, _D_UNIT)
        halo = halo_of(self.settings.profile, values, power)
        lon, lat = frame.from_position(self.settings.centre)
        factor = unit * radial_cell_means(grid.sky, lon, lat, JFactorTable(halo, power))
        return (Term(GridMorphology(factor), self._spectrum(grid.energy.edges, values)),)

    def _spectrum(self, edges: FloatArray, values: Values) -> FloatArray:
        mass = values.row("mass", self.settings.mass)
        if isinstance(self.settings, DarkMatter):
            photons = self._photons(edges, mass, values)
            factor = self.settings.cross_section * _CM3 / (8 * np.pi * mass**2)
        else:
            photons = self._photons(edges, 0.5 * mass, values)
            factor = 1 / (4 * np.pi * mass * self.settings.lifetime)
        dark = ~np.any(photons > 0, axis=1)
        if np.any(dark):
            process = "annihilation" if isinstance(self.settings, DarkMatter) else "decay"
            raise StudyError(
                f"components.{self.component}.mass: {process} at {mass[dark][0]:g} TeV gives no"
                f" photon between the true energies {edges[0]:g} and {edges[-1]:g} TeV;"
                " raise the mass or lower grids.true_energy.min"
            )
        return np.asarray(factor[:, None] * photons)

    def _photons(self, edges: FloatArray, energy: FloatArray, values: Values) -> FloatArray:
        """Photons of an event with twice an energy (nrow,) in its centre of mass."""
        try:
            return self.spectrum.photons(edges, energy, values)
        except StudyError as error:
            half = "" if isinstance(self.settings, DarkMatter) else " (a decay takes half the mass)"
            raise StudyError(f"components.{self.component}.{error}{half}") from None


def halo_of(profile: Profile, values: Values, power: int = 2) -> Halo:
    """Halo with the values of its scanned parameters.

    Raises
    ------
    StudyError
        If the density is so cusped that the integral of its `power` over the centre is infinite:
        an inner slope of 1.5 or more for the J-factor (2), of 3 or more for the D-factor (1).
    """
    scale_radius = values.scalar("profile.scale_radius", profile.scale_radius)
    if isinstance(profile, Einasto):
        alpha = values.scalar("profile.alpha", profile.alpha)
        return _halo(profile, scale_radius, lambda x: einasto(x, alpha))
    if isinstance(profile, Burkert):
        return _halo(profile, scale_radius, burkert)
    if isinstance(profile, GeneralisedNFW):
        gamma = values.scalar("profile.gamma", profile.gamma)
        if gamma >= 3 / power:
            raise StudyError(
                f"components.{values.component}.profile.gamma: {gamma:g} makes the"
                f" {'J' if power == 2 else 'D'}-factor infinite; inner slopes must be below"
                f" {3 / power:g}"
            )
    else:
        gamma = 1.0 if isinstance(profile, NFW) else _MOORE_SLOPE
    return _halo(profile, scale_radius, lambda x: generalised_nfw(x, gamma))


def _halo(profile: Profile, scale_radius: float, shape: Callable[[FloatArray], FloatArray]) -> Halo:
    return Halo(shape, scale_radius, profile.distance, profile.local_density)


def _annihilation(settings: Annihilation, data: Path, where: str) -> AnnihilationSpectrum:
    if isinstance(settings, ClosedFormAnnihilation):
        return ClosedForm({str(name): value for name, value in settings.channels.items()})
    kind = settings.kind if isinstance(settings, TabulatedAnnihilation) else settings.spectra
    path = data_path(data, settings.path, ANNIHILATION_SPECTRA[kind], f"{where}.path")
    table = _READERS[kind](path)
    if isinstance(settings, TabulatedAnnihilation):
        for name in settings.channels:
            try:
                table.channel(name)
            except StudyError as error:
                raise StudyError(f"{where}.channels: {error}") from None
        return TabulatedChannels(table, settings.channels)
    folder = data_path(
        data, settings.cross_sections, SINGLET_CROSS_SECTIONS, f"{where}.cross_sections"
    )
    states = COSMIXS_STATES if settings.spectra == "cosmixs" else FINAL_STATES
    return SingletSpectrum(table, SingletCrossSections.read(folder), settings.coupling, states)

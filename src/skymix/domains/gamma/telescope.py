"""The built-in telescope: an array of Cherenkov telescopes in closed formulas, without any file.

Forms of the formulas, and numbers where said, come from the literature; the other numbers were
chosen for skymix so that the telescope is like CTAO South (prod5-v0.1, 20 deg zenith angle, 50 h:
doi:10.5281/zenodo.5499840). It stands for no real instrument.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from skymix.axes import EnergyAxis, FloatArray
from skymix.domains.gamma.tabulate import (
    area_weights,
    log_migra_nodes,
    normalised_psf,
    rad_nodes,
    sub_energies,
)
from skymix.errors import DataError
from skymix.store.response import Response

ENERGY_RANGE = (0.02, 300.0)  # TeV, true and reconstructed
OFFSET_MAX = 6.0  # deg

# Effective area: Abramowski et al. 2010, MNRAS 402, 1342, appendix B, as gammapy's
# EffectiveAreaTable2D.from_parametrization quotes it for CTA.
_G1, _G2, _G3 = 1.71e11, 0.0891, 1e5  # cm2, -, MeV
_AREA_SIGMA = 3.0  # deg, fall-off with offset; chosen

# Energy resolution of a calorimeter: stochastic and constant term (Particle Data Group, Review of
# Particle Physics, section on calorimeters); chosen: 20 % at 0.05 TeV, 7 % at high energies.
_STOCHASTIC, _CONSTANT = 0.042, 0.065

# PSF: double Gaussian with the shape of Aharonian et al. 2006, A&A 457, 899 (H.E.S.S.): second
# component 0.15 of the first in amplitude and 0.12 / 0.046 in width. Scale with energy chosen.
_TAIL_AMPLITUDE, _TAIL_WIDTH = 0.15, 0.12 / 0.046
_R68, _R68_SLOPE, _R68_FLOOR = 0.148, -0.4, 0.02  # deg at 0.1 TeV, -, deg
_R68_OFFSET = 5.0  # deg; r68 grows by 1 + (offset / this)^2
_TAIL_SIGMAS = 5.6  # of the wide component; holds all but 1e-7 of it

# Background: protons (index 2.7: Particle Data Group, Review of Particle Physics, section on cosmic
# rays) that survive the selection. Level and fall-off chosen.
_BACKGROUND, _BACKGROUND_INDEX = 120.0, 2.7  # s-1 TeV-1 sr-1 at 1 TeV
_BACKGROUND_SIGMA = 3.6  # deg

_OFFSET_STEP, _FOV_STEP = 0.5, 0.1  # deg
_MIGRA_SIGMAS = 6.0


def telescope_response(
    axis_true: EnergyAxis, area_scale: float = 1.0, psf_scale: float = 1.0
) -> Response:
    """Response of the built-in telescope on the given true energies.

    Parameters
    ----------
    axis_true : true energy cells
    area_scale : factor on effective area and background rate: a larger or smaller array
    psf_scale : factor on the containment radius

    Raises
    ------
    DataError
        If the energies leave the range in which the formulas are meant to hold.
    """
    low, high = ENERGY_RANGE
    if axis_true.edges[0] < low or axis_true.edges[-1] > high:
        raise DataError(
            f"built-in telescope: the true energies {axis_true.edges[0]:g} to"
            f" {axis_true.edges[-1]:g} TeV of the study reach beyond its {low:g} to {high:g} TeV;"
            " narrow grids.true_energy"
        )
    offset = np.arange(0.0, OFFSET_MAX + 0.5 * _OFFSET_STEP, _OFFSET_STEP)
    energy = sub_energies(axis_true)
    weights = area_weights(effective_area(energy, np.zeros(1)))
    log_migra, edisp = _edisp(energy, weights)
    rad, psf = _psf(energy, weights, offset, psf_scale)
    fov = np.linspace(-OFFSET_MAX, OFFSET_MAX, round(2 * OFFSET_MAX / _FOV_STEP) + 1)
    area = effective_area(energy, offset[:, None, None]).mean(axis=2)
    background_energy = np.array([low, high])
    rate = background(background_energy[:, None, None], fov[:, None], fov[None, :])
    return Response(
        offset=offset,
        energy_true_edges=axis_true.edges,
        log_migra=log_migra,
        rad=rad,
        effective_area=area_scale * area,
        edisp=np.repeat(edisp[None], offset.size, axis=0),
        psf=psf,
        background_energy=background_energy,
        background_fov_lon=fov,
        background_fov_lat=fov,
        background=area_scale * rate,
        fov_alignment="RADEC",
        instrument="skymix parametric telescope",
    )


def effective_area(energy: FloatArray, offset: FloatArray) -> FloatArray:
    """g1 (E/MeV)^-g2 exp(-g3/E) times a Gaussian in offset; TeV and deg in, m2 out."""
    mev = energy * 1e6
    on_axis = _G1 * 1e-4 * mev**-_G2 * np.exp(-_G3 / mev)
    return np.asarray(on_axis * np.exp(-0.5 * (offset / _AREA_SIGMA) ** 2))


def energy_resolution(energy: FloatArray) -> FloatArray:
    """Standard deviation of ln(E_reco / E_true), whose mean is 0; TeV in."""
    return np.hypot(_STOCHASTIC / np.sqrt(energy), _CONSTANT)


def r68(energy: FloatArray, offset: FloatArray) -> FloatArray:
    """68 % containment radius; TeV and deg in, deg out."""
    on_axis = np.hypot(_R68 * (energy / 0.1) ** _R68_SLOPE, _R68_FLOOR)
    return np.asarray(on_axis * (1 + (offset / _R68_OFFSET) ** 2))


def background(energy: FloatArray, fov_lon: FloatArray, fov_lat: FloatArray) -> FloatArray:
    """Rate of surviving cosmic rays at reconstructed coordinates, s-1 TeV-1 sr-1."""
    fall_off = np.exp(-0.5 * (fov_lon**2 + fov_lat**2) / _BACKGROUND_SIGMA**2)
    return np.asarray(_BACKGROUND * energy**-_BACKGROUND_INDEX * fall_off)


def psf_density(rad: FloatArray, radius_68: FloatArray) -> FloatArray:
    """Double Gaussian of a given 68 % containment radius, up to a factor."""
    sigma = radius_68 / _R68_IN_SIGMA
    return np.asarray(
        np.exp(-0.5 * (rad / sigma) ** 2)
        + _TAIL_AMPLITUDE * np.exp(-0.5 * (rad / (_TAIL_WIDTH * sigma)) ** 2)
    )


def _contained(rad: float) -> float:
    """Share of the double Gaussian within a radius in units of the narrow sigma."""
    wide = _TAIL_AMPLITUDE * _TAIL_WIDTH**2
    inside = -np.expm1(-0.5 * rad**2) - wide * np.expm1(-0.5 * (rad / _TAIL_WIDTH) ** 2)
    return float(inside / (1 + wide))


_R68_IN_SIGMA = float(brentq(lambda rad: _contained(rad) - 0.68, 0.1, 10.0))


def _edisp(energy: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nodes of ln(E_reco / E_true), and the mean cumulative of each cell, (ncell, nmigra)."""
    sigma = energy_resolution(energy)
    nodes = log_migra_nodes(-_MIGRA_SIGMAS * float(sigma.max()), _MIGRA_SIGMAS * float(sigma.max()))
    cumulative = np.einsum("cs,csm->cm", weights, ndtr(nodes / sigma[..., None]))
    cumulative[:, 0], cumulative[:, -1] = 0.0, 1.0
    return nodes, np.maximum.accumulate(np.clip(cumulative, 0.0, 1.0), axis=-1)  # rounding


def _psf(
    energy: FloatArray, weights: FloatArray, offset: FloatArray, scale: float
) -> tuple[FloatArray, FloatArray]:
    """Radial nodes, and the mean PSF of each cell, (noffset, nrad, ncell) sr-1."""
    widest = scale * float(r68(energy.min(), offset.max())) / _R68_IN_SIGMA * _TAIL_WIDTH
    rad = rad_nodes(_TAIL_SIGMAS * widest)
    psf = np.empty((offset.size, rad.size, len(energy)))
    for k, angle in enumerate(offset):
        for c in range(len(energy)):
            at = psf_density(rad[:, None], scale * r68(energy[c], angle))
            psf[k, :, c] = normalised_psf(at, rad) @ weights[c]
    return rad, psf

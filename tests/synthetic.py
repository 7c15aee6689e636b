"""A small instrument and small grids with known closed forms, for tests."""

import numpy as np

from skymix.axes import EnergyAxis, Grid, SkyGrid
from skymix.domains.gamma.exposure import Exposure
from skymix.domains.gamma.geometry import RegionFrame
from skymix.store.response import Response
from skymix.study.components import Position

OFFSETS = np.array([0.0, 1.5, 3.0])
RESOLUTION = 0.12  # of ln E


def psf_width(offset, energy):
    """Standard deviation of the Gaussian PSF, deg."""
    return 0.08 * energy**-0.3 * (1 + 0.2 * offset)


def gaussian_psf(rad, sigma):
    """Gaussian on a small patch of sky, sr-1, for deg."""
    s = np.radians(sigma)
    return np.exp(-0.5 * (rad / sigma) ** 2) / (2 * np.pi * s**2)


def synthetic_response(energy: EnergyAxis, nrad: int = 800, rad_max: float = 1.5) -> Response:
    """Gaussian PSF, log-normal dispersion, sloped acceptance, background falling off-axis."""
    from scipy.stats import norm

    e = energy.centres
    rad = rad_max * np.linspace(0, 1, nrad) ** 2
    psf = np.stack([[gaussian_psf(rad, psf_width(o, x)) for x in e] for o in OFFSETS])
    y = np.arange(-1.0, 1.0005, 0.005)
    cumulative = np.broadcast_to(norm.cdf(y / RESOLUTION), (OFFSETS.size, e.size, y.size)).copy()
    cumulative[..., 0], cumulative[..., -1] = 0, 1
    area = 1e5 * (e / (1 + e))[None] * np.exp(-0.5 * (OFFSETS / 2.0) ** 2)[:, None]
    fov = np.linspace(-4, 4, 33)
    grid = np.exp(-0.5 * (fov[:, None] ** 2 + fov[None] ** 2) / 1.5**2)
    bkg_energy = np.geomspace(0.05, 200, 40)
    return Response(
        offset=OFFSETS,
        energy_true_edges=energy.edges,
        log_migra=y,
        rad=rad,
        effective_area=area,
        edisp=cumulative,
        psf=psf.transpose(0, 2, 1),
        background_energy=bkg_energy,
        background_fov_lon=fov,
        background_fov_lat=fov,
        background=bkg_energy[:, None, None] ** -2.7 * grid * 30.0,
        fov_alignment="RADEC",
        instrument="synthetic",
    )


def small_exposure(
    width: float = 2.0,
    pixel: float = 0.2,
    subdivision: int = 2,
    margin: float = 0.4,
    per_decade: int = 10,
    pointing: tuple[float, float] = (0.3, -0.2),
    lat: float = 0.0,
) -> Exposure:
    """Exposure of one hour about the Galactic Centre, 1 to 10 TeV reconstructed."""
    data = Grid(EnergyAxis.logarithmic(1.0, 10.0, 8), SkyGrid.centred(width, width, pixel))
    n = round(margin / pixel)
    edges = np.arange(-n, round(width / pixel) + n + 1) * pixel - width / 2
    true_sky = SkyGrid(edges, edges).split(subdivision)
    true = Grid(EnergyAxis.logarithmic(0.5, 20.0, per_decade), true_sky)
    frame = RegionFrame(Position(frame="galactic", lon="0 deg", lat=f"{lat} deg"))
    return Exposure(
        synthetic_response(true.energy),
        pointing,
        3600.0,
        3600.0,
        frame,
        true,
        data,
        np.ones(data.sky.shape),
    )

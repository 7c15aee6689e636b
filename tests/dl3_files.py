"""Small DL3 files made by the tests: event lists and responses whose true shapes are known."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

RUN = {
    "HDUCLAS1": "EVENTS",
    "MJDREFI": 51544,
    "MJDREFF": 0.5,
    "TIMEUNIT": "s",
    "TIMESYS": "TT",
    "TIMEREF": "LOCAL",
    "RA_PNT": 83.63,
    "DEC_PNT": 22.01,
    "DEADC": 0.9,
    "OBS_MODE": "POINTING",
}
TIME_KEYS = ("MJDREFI", "MJDREFF", "TIMEUNIT", "TIMESYS", "TIMEREF")


def table_hdu(name: str, columns: list[tuple[str, str, str | None, Any]], header: dict) -> Any:
    """Binary table of (name, format, unit, array) columns."""
    made = [fits.Column(name=n, format=f, unit=u, array=a) for n, f, u, a in columns]
    hdu = fits.BinTableHDU.from_columns(made, name=name)
    hdu.header.update(header)
    return hdu


def write(path: Path, *hdus: Any) -> Path:
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, overwrite=True)
    return path


def events_hdu(
    time: Any, ra: Any, dec: Any, energy: Any, header: dict | None = None, drop: str = ""
) -> Any:
    columns = [
        ("EVENT_ID", "K", None, np.arange(len(time)) + 100),
        ("TIME", "D", "s", time),
        ("RA", "D", "deg", ra),
        ("DEC", "D", "deg", dec),
        ("ENERGY", "D", "TeV", energy),
    ]
    cards = {k: v for k, v in (RUN | (header or {})).items() if v is not None}
    return table_hdu("EVENTS", [c for c in columns if c[0] != drop], cards)


def gti_hdu(*intervals: tuple[float, float]) -> Any:
    start, stop = [i[0] for i in intervals], [i[1] for i in intervals]
    columns = [("START", "D", "s", start), ("STOP", "D", "s", stop)]
    return table_hdu("GTI", columns, {k: RUN[k] for k in TIME_KEYS})


# Responses: one row; arrays in numpy order (the reverse of FITS) -----------------------------

ENERGY_EDGES = np.geomspace(0.1, 100.0, 31)
OFFSET_EDGES = np.array([0.0, 1.0, 2.0, 3.0])


def _row(edges: Any, name: str, unit: str | None) -> list[tuple[str, str, str | None, Any]]:
    n = len(edges) - 1
    low, high = np.asarray(edges[:-1])[None], np.asarray(edges[1:])[None]
    return [(f"{name}_LO", f"{n}D", unit, low), (f"{name}_HI", f"{n}D", unit, high)]


def _value(name: str, unit: str | None, array: Any) -> Any:
    array = np.asarray(array, dtype=np.float64)
    dims = f"({','.join(str(n) for n in array.shape[::-1])})"
    return fits.Column(name, f"{array.size}D", unit, dim=dims, array=array[None])


def irf_hdu(
    name: str,
    axes: list,
    values: list[tuple[str, str | None, Any]],
    clas2: str,
    clas4: str,
    **header: Any,
) -> Any:
    columns = [fits.Column(n, f, u, array=a) for axis in axes for n, f, u, a in axis]
    columns += [_value(*v) for v in values]
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    cards = {"HDUCLAS1": "RESPONSE", "HDUCLAS2": clas2, "HDUCLAS3": "FULL-ENCLOSURE"}
    hdu.header.update(cards | {"HDUCLAS4": clas4, "TELESCOP": "TEST"} | header)
    return hdu


def centres(edges: Any, log: bool = False) -> np.ndarray:
    edges = np.asarray(edges)
    return np.sqrt(edges[1:] * edges[:-1]) if log else 0.5 * (edges[1:] + edges[:-1])


def energy_axis(edges: Any = ENERGY_EDGES) -> list:
    return _row(edges, "ENERG", "TeV")


def offset_axis(edges: Any = OFFSET_EDGES) -> list:
    return _row(edges, "THETA", "deg")


def aeff_hdu(values: Any | None = None, **header: Any) -> Any:
    """Default: 1e5 m2 (E / TeV)^0.5 (1 - offset / 10 deg)."""
    if values is None:
        e, o = centres(ENERGY_EDGES, log=True), centres(OFFSET_EDGES)
        values = 1e5 * np.sqrt(e)[None] * (1 - o / 10)[:, None]
    axes = [energy_axis(), offset_axis()]
    return irf_hdu("AEFF", axes, [("EFFAREA", "m2", values)], "EFF_AREA", "AEFF_2D", **header)


MIGRA_EDGES = np.linspace(0.2, 5.0, 481)


def edisp_hdu(sigma: float = 0.15, scale: float = 1.0, **header: Any) -> Any:
    """Log-normal of the same width everywhere, times `scale`."""
    from scipy.special import ndtr

    share = np.diff(ndtr(np.log(MIGRA_EDGES) / sigma)) / np.diff(MIGRA_EDGES)
    n, k = len(ENERGY_EDGES) - 1, len(OFFSET_EDGES) - 1
    values = np.broadcast_to(scale * share[None, :, None], (k, share.size, n)).copy()
    axes = [energy_axis(), _row(MIGRA_EDGES, "MIGRA", None), offset_axis()]
    return irf_hdu("EDISP", axes, [("MATRIX", None, values)], "EDISP", "EDISP_2D", **header)


def king_hdu(sigma: float = 0.05, gamma: float = 2.5) -> Any:
    full = np.ones((len(OFFSET_EDGES) - 1, len(ENERGY_EDGES) - 1))
    values = [("SIGMA", "deg", sigma * full), ("GAMMA", None, gamma * full)]
    return irf_hdu("PSF", [energy_axis(), offset_axis()], values, "RPSF", "PSF_KING")


RAD_EDGES = np.linspace(0.0, 0.6, 61)


def psf_table_hdu(sigma: Any = 0.08) -> Any:
    """Gaussian rings; sigma (deg) for all energies, or one for each."""
    e = len(ENERGY_EDGES) - 1
    s = np.broadcast_to(np.asarray(sigma, dtype=np.float64), (e,))
    share = -np.diff(np.exp(-0.5 * (RAD_EDGES[:, None] / s) ** 2), axis=0)
    rings = 2 * np.pi * -np.diff(np.cos(np.radians(RAD_EDGES)))
    density = share / rings[:, None]
    values = np.broadcast_to(density[:, None], (density.shape[0], len(OFFSET_EDGES) - 1, e)).copy()
    axes = [energy_axis(), offset_axis(), _row(RAD_EDGES, "RAD", "deg")]
    return irf_hdu("PSF", axes, [("RPSF", "sr-1", values)], "RPSF", "PSF_TABLE")


FOV_EDGES = np.linspace(-3.0, 3.0, 13)


def background_hdu(unit: str | None = "s-1 MeV-1 sr-1", align: str | None = "RADEC") -> Any:
    """1e-6 (E / TeV)^-2.7 (1 + 0.2 DETX / deg + 0.1 DETY / deg) in s-1 MeV-1 sr-1."""
    e, x = centres(ENERGY_EDGES, log=True), centres(FOV_EDGES)
    # Axis order of the GADF standard: (ENERG, DETX, DETY) in FITS.
    values = 1e-6 * (1 + 0.2 * x[None, :, None] + 0.1 * x[:, None, None]) * e[None, None] ** -2.7
    axes = [energy_axis(), _row(FOV_EDGES, "DETX", "deg"), _row(FOV_EDGES, "DETY", "deg")]
    header = {} if align is None else {"FOVALIGN": align}
    return irf_hdu("BKG", axes, [("BKG", unit, values)], "BKG", "BKG_3D", **header)


def radial_background_hdu() -> Any:
    """1e-6 (E / TeV)^-2.7 (1 - offset / 4 deg) in s-1 MeV-1 sr-1."""
    e, o = centres(ENERGY_EDGES, log=True), centres(OFFSET_EDGES)
    values = 1e-6 * (1 - o[:, None] / 4) * e[None] ** -2.7
    axes = [energy_axis(), offset_axis()]
    unit = "s-1 MeV-1 sr-1"
    return irf_hdu("BKG", axes, [("BKG", unit, values)], "BKG", "BKG_2D")


def good_irfs() -> dict[str, Any]:
    return {"aeff": aeff_hdu(), "edisp": edisp_hdu(), "psf": king_hdu(), "bkg": background_hdu()}

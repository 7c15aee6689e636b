"""Tabulated instrument response in field-of-view coordinates, shared by all who have the IRF."""

from dataclasses import dataclass
from typing import ClassVar

from skymix.axes import FloatArray
from skymix.store.base import array, scalar


@dataclass(frozen=True, eq=False)
class Response:
    """Effective area, energy dispersion, PSF and background rate of one instrument.

    Everything is linear between offset nodes. `edisp` is the probability that
    ln(E_reco / E_true) is below each node of `log_migra`: 0 at the first node, 1 at the last.
    `psf` is normalised to 1 over the sphere cap out to the last `rad`; `rad` is 0 first and
    equally spaced in sqrt(rad). `background` is per true solid angle at reconstructed
    coordinates; log-linear in energy, linear in the field of view, zero outside its nodes.
    `fov_alignment` says where the background's axes point: with RADEC, fov_lon increases
    towards increasing right ascension and fov_lat towards north.
    """

    schema_name: ClassVar[str] = "response"
    schema_version: ClassVar[int] = 1

    offset: FloatArray = array("deg", ("offset",))
    energy_true_edges: FloatArray = array("TeV", ("energy_true_edge",))
    log_migra: FloatArray = array("", ("log_migra",))
    rad: FloatArray = array("deg", ("rad",))
    effective_area: FloatArray = array("m2", ("offset", "energy_true"))
    edisp: FloatArray = array("", ("offset", "energy_true", "log_migra"))
    psf: FloatArray = array("sr-1", ("offset", "rad", "energy_true"))
    background_energy: FloatArray = array("TeV", ("background_energy",))
    background_fov_lon: FloatArray = array("deg", ("background_fov_lon",))
    background_fov_lat: FloatArray = array("deg", ("background_fov_lat",))
    background: FloatArray = array(
        "s-1 TeV-1 sr-1", ("background_energy", "background_fov_lon", "background_fov_lat")
    )
    fov_alignment: str = scalar()
    instrument: str = scalar()

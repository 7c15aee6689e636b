"""Which files outside the study a stage reads, and where the data folder keeps them."""

from glob import glob
from pathlib import Path

from skymix.study.components import (
    Catalogue,
    DarkMatter,
    DecayingDarkMatter,
    DiffuseTemplate,
    ScalarSinglet,
    TabulatedAnnihilation,
)
from skymix.study.load import data_folder
from skymix.study.model import Study
from skymix.study.observation import (
    OnOffEvents,
    PointLikeResponse,
    RecordedEvents,
    RecordedResponse,
)
from skymix.study.pymc_study import PymcStudy
from skymix.study.star_study import StarStudy

_SPECTRA = Path("gamma/dark-matter-spectra")
ANNIHILATION_SPECTRA = {
    "pppc4dmid": _SPECTRA / "PPPC4DMID/AtProduction_gammas.dat",
    "cosmixs": _SPECTRA / "cosmixs/AtProduction-Gammas.aurelio-amerio-CosmiXs.jl.dat",
    "hdmspectra": _SPECTRA / "hdmspectra/HDMSpectra.hdf5",
}
"""Photon spectra of annihilation by kind."""
SINGLET_CROSS_SECTIONS = Path("gamma/dark-matter-spectra/singletscalar_dm")
PLANE_SURVEY = Path("gamma/catalogs/hgps_catalog_v1.fits.gz")
DIFFUSE_CUBE = Path("gamma/fermi-gc/gll_iem_v07_gc.fits.gz")


def event_files(study: Study, observation: str) -> list[Path]:
    """DL3 files of recorded events; none if the events are simulated.

    A pattern that no file matches stays as it is, so that it is missed by name.
    """
    events, folder = study.observations[observation].events, data_folder(study)
    if isinstance(events, RecordedEvents):
        return [folder / events.path]
    if not isinstance(events, OnOffEvents):
        return []
    found = [sorted(glob(str(folder / path))) or [str(folder / path)] for path in events.paths]
    return [Path(path) for paths in found for path in paths]


def star_table(study: StarStudy) -> Path:
    """Table of a study of stars."""
    return data_folder(study) / study.catalogue.path


def model_files(study: PymcStudy) -> list[Path]:
    """Files that the function of a PyMC model reads."""
    return [data_folder(study) / path for path in study.model.files]


def response_file(study: Study, observation: str) -> Path | None:
    """DL3 file of the response; None if it is the parametric telescope."""
    response = study.observations[observation].response
    if isinstance(response, RecordedResponse | PointLikeResponse):
        return data_folder(study) / response.path
    return None


def component_files(study: Study, component: str) -> dict[str, Path]:
    """Tables that a component is made of, by role; paths are relative to the data folder.

    Roles are "spectra", "cross_sections" (a folder), "catalogue" and "template".
    """
    settings = study.components[component]
    found: dict[str, Path] = {}
    if isinstance(settings, DarkMatter | DecayingDarkMatter):
        spectrum = settings.spectrum
        if isinstance(spectrum, TabulatedAnnihilation):
            found["spectra"] = spectrum.path or ANNIHILATION_SPECTRA[spectrum.kind]
        if isinstance(spectrum, ScalarSinglet):
            found["spectra"] = spectrum.path or ANNIHILATION_SPECTRA[spectrum.spectra]
            found["cross_sections"] = spectrum.cross_sections or SINGLET_CROSS_SECTIONS
    elif isinstance(settings, Catalogue):
        found["catalogue"] = settings.path or PLANE_SURVEY
    elif isinstance(settings, DiffuseTemplate):
        found["template"] = settings.path or DIFFUSE_CUBE
    return {role: data_folder(study) / path for role, path in found.items()}


def component_tables(study: Study, *components: str) -> list[Path]:
    """Every file that components are made of; a folder stands for the tables in it."""
    found = [path for name in components for path in component_files(study, name).values()]
    return [table for path in found for table in sorted(path.glob("*.dat")) or [path]]

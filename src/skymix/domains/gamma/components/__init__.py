"""Source components of gamma-ray observations, one kind a module."""

from pathlib import Path

from skymix.domains.gamma.components.base import Source
from skymix.domains.gamma.components.catalogue import CatalogueSources
from skymix.domains.gamma.components.dark_matter import DarkMatterSource
from skymix.domains.gamma.components.diffuse import DiffuseSource
from skymix.domains.gamma.components.ridge import RidgeSource
from skymix.domains.gamma.components.source import RoundSource
from skymix.study.components import (
    Catalogue,
    DarkMatter,
    DecayingDarkMatter,
    DiffuseTemplate,
    GalacticRidge,
    GaussianSource,
    PointSource,
)

SourceSettings = (
    DarkMatter
    | DecayingDarkMatter
    | PointSource
    | GaussianSource
    | Catalogue
    | DiffuseTemplate
    | GalacticRidge
)
"""Settings of every kind of component but the cosmic rays, which are no source on the sky."""


def build_source(name: str, settings: SourceSettings, data: Path) -> Source:
    """Source of a component's settings; reads the files that it needs.

    Parameters
    ----------
    name : name of the component
    settings : its settings
    data : the study's data folder

    Raises
    ------
    DataError
        If a file is missing or unusable.
    StudyError
        If the settings do not fit the file.
    """
    if isinstance(settings, DarkMatter | DecayingDarkMatter):
        return DarkMatterSource.from_settings(name, settings, data)
    if isinstance(settings, Catalogue):
        return CatalogueSources.from_settings(name, settings, data)
    if isinstance(settings, DiffuseTemplate):
        return DiffuseSource.from_settings(name, settings, data)
    if isinstance(settings, GalacticRidge):
        return RidgeSource(name, settings)
    return RoundSource(name, settings)

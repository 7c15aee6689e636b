"""The study file: every setting of an analysis, checked, with its default and its unit."""

from skymix.study.components import (
    AnyComponent,
    Catalogue,
    CosmicRays,
    DarkMatter,
    DecayingDarkMatter,
    DiffuseTemplate,
    GalacticRidge,
    GaussianSource,
    PointSource,
)
from skymix.study.load import load_study, study_from_mapping
from skymix.study.mixture import Beta, Dirichlet, Fixed, Split
from skymix.study.model import Study
from skymix.study.observation import Observation
from skymix.study.parameters import Scan

__all__ = [
    "AnyComponent",
    "Beta",
    "Catalogue",
    "CosmicRays",
    "DarkMatter",
    "DecayingDarkMatter",
    "DiffuseTemplate",
    "Dirichlet",
    "Fixed",
    "GalacticRidge",
    "GaussianSource",
    "Observation",
    "PointSource",
    "Scan",
    "Split",
    "Study",
    "load_study",
    "study_from_mapping",
]

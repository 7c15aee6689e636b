"""Versions of the packages that results depend on."""

import platform
from importlib.metadata import version

import skymix

PACKAGES = (
    "arviz",
    "astropy",
    "corner",
    "dynesty",
    "gammapy",
    "h5py",
    "matplotlib",
    "numba",
    "numpy",
    "pymc",
    "pytensor",
    "scipy",
    "snakemake",
    "xarray",
)


def installed_versions() -> dict[str, str]:
    """Version of Python and of each package in the environment that runs this."""
    own = {"Python": platform.python_version(), "skymix": skymix.__version__}
    return own | {name: version(name) for name in PACKAGES}

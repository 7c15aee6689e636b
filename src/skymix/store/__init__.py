"""Products on disk: the only place that knows HDF5 and netCDF."""

from skymix.store.base import Provenance, file_sha256, read_product, read_provenance, write_product
from skymix.store.catalogue import Catalogue
from skymix.store.diagnostics import Diagnostics
from skymix.store.events import Events
from skymix.store.likelihood import LikelihoodTables
from skymix.store.marginals import Marginals
from skymix.store.nested_run import RunProduct
from skymix.store.posterior import read_posterior, write_posterior
from skymix.store.response import Response

__all__ = [
    "Catalogue",
    "Diagnostics",
    "Events",
    "LikelihoodTables",
    "Marginals",
    "Provenance",
    "Response",
    "RunProduct",
    "file_sha256",
    "read_posterior",
    "read_product",
    "read_provenance",
    "write_posterior",
    "write_product",
]

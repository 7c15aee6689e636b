"""PyMC, set up so that it needs no C++ compiler."""

import os
import sys
from typing import Any

MODE = "NUMBA"
_FLAGS = "PYTENSOR_FLAGS"


def import_pymc() -> Any:
    """PyMC; PyTensor is told not to look for g++, unless the user set it up before.

    All functions of this package are compiled with `MODE`, which needs no C++ compiler.
    """
    flags = os.environ.get(_FLAGS)
    if "pytensor" not in sys.modules and "cxx" not in (flags or ""):
        # Read once, at import; put back so that programs started from here see what the user set.
        os.environ[_FLAGS] = f"{flags},cxx=" if flags else "cxx="
        try:
            import pytensor  # noqa: F401
        finally:
            if flags is None:
                del os.environ[_FLAGS]
            else:
                os.environ[_FLAGS] = flags
    import pymc

    return pymc

"""What one core of this machine can do at most, measured by compiled loops."""

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("machine.c")
FLAGS = ["-O3", "-march=native", "-mprefer-vector-width=512", "-Wno-psabi", "-shared", "-fPIC"]


class Machine:
    """Loops of machine.c, compiled for the processor at hand."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "machine.so"
            subprocess.run(["cc", *FLAGS, "-o", library, SOURCE], check=True)
            loaded = ctypes.CDLL(str(library))
        self._read, self._multiply_add = loaded.read_all, loaded.multiply_add
        self._read.argtypes = ctypes.c_void_p, ctypes.c_int64
        self._multiply_add.argtypes = (ctypes.c_int64,)
        self._read_rows = loaded.read_rows
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        self._read_rows.argtypes = *[pointer] * 4, integer, pointer, integer

    def read(self, array: np.ndarray) -> None:
        """Read all of a float64 array whose size is a multiple of 64."""
        self._read(array.ctypes.data, array.size)

    def read_rows(
        self,
        values: np.ndarray,
        offset: np.ndarray,
        stride: np.ndarray,
        filled: np.ndarray,
        rows: np.ndarray,
    ) -> None:
        """Read some rows of a float64 table in tiles, as `TiledTable` describes them."""
        addresses = (array.ctypes.data for array in (values, offset, stride, filled))
        self._read_rows(*addresses, offset.size, rows.ctypes.data, rows.size)

    def multiply_add(self, count: int) -> None:
        """Do `count` multiply-adds, a multiple of 64, in registers."""
        self._multiply_add(count // 64)

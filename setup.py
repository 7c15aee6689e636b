"""The compiled kernel of the mixture; all else is in pyproject.toml."""

import numpy
from setuptools import Extension, setup

FOLDER = "src/skymix/mixture"

setup(
    ext_modules=[
        Extension(
            "skymix.mixture._kernel",
            sources=[f"{FOLDER}/{name}.c" for name in ("module", "points", "kernel")],
            depends=[f"{FOLDER}/{name}.h" for name in ("kernel", "kernel_tile")],
            include_dirs=[numpy.get_include()],
            # Named here, as the flags of the interpreter's own build differ between machines.
            extra_compile_args=[
                "-std=gnu11",
                "-O3",
                "-ffp-contract=fast",
                "-fno-fast-math",
                "-Wno-psabi",
            ],
            libraries=["m", "pthread"],
        )
    ]
)

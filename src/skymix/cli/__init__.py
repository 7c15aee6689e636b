"""The command line: one command a stage. Parses, calls the pipeline, reports errors; no science."""

from skymix.cli.commands import cli
from skymix.cli.program import main

__all__ = ["cli", "main"]

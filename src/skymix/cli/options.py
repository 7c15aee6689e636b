"""Arguments and options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def path_option(*names: str, **kwargs: Any) -> Callable[[F], F]:
    """An option that is a path and must be given."""
    return click.option(*names, type=click.Path(path_type=Path), required=True, **kwargs)


STUDY = click.argument("study", type=click.Path(path_type=Path))
OBSERVATION = click.argument("observation")
LIKELIHOOD = click.argument("likelihood", type=click.Path(path_type=Path))
OUTPUT = path_option("-o", "--output", help="File to write.")
EVENTS = path_option("--events", help="Event file of the observation.")
OF_EVENTS = "Folder of the events, one file an observation."
OF_MARGINALS = "Folder of the marginals, one folder an observation in it."
EVENTS_FOLDER = path_option("--events-folder", help=OF_EVENTS)
MARGINALS_FOLDER = path_option("--marginals-folder", help=OF_MARGINALS)
RESPONSE = path_option("--response", help="Response table of the observation.")

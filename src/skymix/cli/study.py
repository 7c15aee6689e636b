"""Commands on study files."""

import json
import sys
from pathlib import Path

import click

from skymix.cli.options import OUTPUT, STUDY


@click.command()
@STUDY
def validate(study: Path) -> None:
    """Check a study file."""
    from skymix.study.load import load_any_study
    from skymix.study.pymc_study import PymcStudy
    from skymix.study.star_study import StarStudy

    checked = load_any_study(study)
    if isinstance(checked, PymcStudy):
        from skymix import pymc_pipeline

        names = pymc_pipeline.problem_of(checked).names
        click.echo(f"{study}: valid. Study '{checked.name}': {len(names)} parameters.")
        return
    if isinstance(checked, StarStudy):
        click.echo(
            f"{study}: valid. Study '{checked.name}': {len(checked.catalogue.coordinates)}"
            f" coordinates of stars, {len(checked.components)} components."
        )
        return
    fits = len(checked.observations)
    click.echo(
        f"{study}: valid. Study '{checked.name}': {fits} observation{'s' if fits > 1 else ''},"
        f" {len(checked.components)} components, {len(checked.scans())} scanned parameters."
    )


@click.command("default-study")
def default_study() -> None:
    """Print the default study, every key explained."""
    from skymix.study.default import DEFAULT_STUDY
    from skymix.study.document import commented_yaml

    click.echo(commented_yaml(DEFAULT_STUDY), nl=False)


@click.command()
def schema() -> None:
    """Print the JSON schema of study files."""
    from skymix.study.document import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@click.command("freeze-study", hidden=True)
@OUTPUT
def freeze_study(output: Path) -> None:
    """Write the study that a workflow runs with, given as JSON on stdin."""
    from skymix import pipeline
    from skymix.errors import StudyError

    try:
        settings = json.load(sys.stdin)
    except json.JSONDecodeError as error:
        raise StudyError(f"standard input: not JSON ({error}); give the study as JSON") from None
    pipeline.freeze_study(settings, output)

"""The commands of skymix, in the order of an analysis."""

import click

import skymix
from skymix.cli import fits, observations, study, surveys


class _Group(click.Group):
    """Commands in the order in which they are added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(skymix.__version__, prog_name="skymix")
def cli() -> None:
    """Bayesian mixture inference for astronomy.

    A study file says what is analysed; each command makes one product of it. The workflow
    (snakemake) calls these same commands.
    """


@click.command("warm-up", hidden=True)
def warm_up() -> None:
    """Compile the numerical kernels into the cache beside the installed package."""
    from skymix.warm_up import warm_up as run

    run()


for _command in (
    study.validate,
    study.default_study,
    study.schema,
    study.freeze_study,
    observations.read_events,
    observations.tabulate_response,
    observations.simulate_events,
    observations.marginalise_nuisance,
    observations.join_marginals,
    observations.marginalise_bundle,
    observations.gather_marginals,
    fits.read_catalogue,
    fits.sample_posterior,
    fits.merge_runs,
    fits.predict_posterior,
    surveys.calibrate,
    surveys.gather_calibration,
    surveys.set_limits,
    surveys.gather_limits,
    fits.make_report,
    fits.show,
    warm_up,
):
    cli.add_command(_command)

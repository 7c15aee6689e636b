"""The stages of an analysis of a PyMC model: each reads files, calls the library and writes one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skymix.errors import StudyError
from skymix.nested_runs import check_run, check_runs, merged, nested_run, run_product
from skymix.pipeline import inputs_of
from skymix.store import Provenance, read_posterior, write_posterior, write_product
from skymix.store.lineage import require_inputs, require_settings
from skymix.study.files import model_files
from skymix.study.load import data_folder
from skymix.study.mixture import NutsSampler
from skymix.study.pymc_stages import pymc_settings
from skymix.study.pymc_study import PymcStudy
from skymix.study.stages import results_folder, sampler_seed

_FIT = "model"  # the one fit of such a study

if TYPE_CHECKING:
    import xarray as xr

    from skymix.sampling import ChainRun, Executor, ModelFile, PymcProblem, WeightedRun


def sample_posterior(
    study: PymcStudy,
    source: Path,
    output: Path,
    run: int | None = None,
    executor: "Executor | None" = None,
    checkpoint: Path | None = None,
    deadline: float | None = None,
) -> None:
    """Sample the posterior of a study and write it; parameters as of `pipeline.sample_posterior`.

    `source` is the Python file of the model.

    Raises
    ------
    Interrupted
        If the run was asked to stop; its checkpoint is written.
    """
    from skymix.sampling import Progress, sample_nuts

    settings = study.sampler
    check_run(settings, run)
    provenance = _provenance(study, source)
    file = _model_file(study, source)
    problem = file.problem()

    progress = Progress(study.name if run is None else f"{study.name}, run {run}")
    if isinstance(settings, NutsSampler):
        chains = sample_nuts(
            file.model(),
            settings.chains,
            settings.tune,
            settings.draws,
            settings.target_accept,
            settings.backend,
            sampler_seed(study, _FIT),
            progress=progress,
        )
        _write_posterior(study, output, chains, problem, provenance)
        return
    with nested_run(
        problem, settings, provenance, progress, run, executor, checkpoint, deadline
    ) as nested:
        if run is None:
            _write_posterior(study, output, nested, problem, provenance)
        else:
            write_product(output, run_product(nested), provenance)


def merge_runs(study: PymcStudy, source: Path, runs: Sequence[Path], output: Path) -> None:
    """Merge independent runs into one posterior and write it."""
    check_runs(study.sampler, runs)
    problem = _model_file(study, source).problem()
    run = merged(runs, pymc_settings(study, "posterior"), source)
    for path in runs:
        require_inputs(path, *model_files(study))
    _write_posterior(study, output, run, problem, _provenance(study, source, *runs))


def problem_of(study: PymcStudy) -> "PymcProblem":
    """Prior and likelihood of a study's model.

    Raises
    ------
    SkymixError
        If the file has no such function, or its model cannot be sampled.
    """
    return _model_file(study, study.model.path).problem()


def _model_file(study: PymcStudy, source: Path) -> "ModelFile":
    from skymix.sampling import ModelFile

    settings = study.model
    return ModelFile(
        source, _text(source), settings.function, settings.arguments, data_folder(study)
    )


def _text(source: Path) -> str:
    try:
        return source.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise StudyError(f"model.path: there is no file {source}; check the path") from None
    except (OSError, ValueError) as error:  # not text, or a path that no file can have
        raise StudyError(f"model.path: {str(source)!r} cannot be read as text ({error})") from None


def _provenance(study: PymcStudy, source: Path, *runs: Path) -> Provenance:
    return Provenance(
        pymc_settings(study, "posterior"),
        inputs_of(source, *model_files(study), *runs),
        sampler_seed(study, _FIT),
    )


def _write_posterior(
    study: PymcStudy,
    output: Path,
    run: "WeightedRun | ChainRun",
    problem: "PymcProblem",
    provenance: Provenance,
) -> None:
    from skymix.sampling import WeightedRun
    from skymix.sampling.chains import chains_tree
    from skymix.sampling.posterior import posterior_tree

    seed = sampler_seed(study, _FIT)
    if isinstance(run, WeightedRun):
        tree = posterior_tree(run, problem, problem.derived, {}, {}, {}, seed)
    else:
        tree = chains_tree(run, problem, problem.derived, {}, {}, {}, seed)
    tree.attrs["parameters"] = "\n".join(problem.names)  # the rest is derived
    write_posterior(output, tree, provenance)


def make_report(study: PymcStudy, output: Path) -> Path:
    """Make the report of a study from the posterior in its results folder."""
    from skymix.report import PymcReport, installed_versions, make_pymc_report

    tree = _posterior(study)
    made = {str(name): value for name, value in tree.attrs.items()}
    made["inputs"] = json.loads(made["inputs"])
    return make_pymc_report(
        PymcReport(
            study,
            tree,
            _text(study.model.path),
            {f"fits/{_FIT}/posterior.nc": made},
            installed_versions(),
        ),
        output,
    )


def summary(study: PymcStudy) -> str:
    """Evidence and posterior table, and the path of the report, as text."""
    from skymix.report import summary_text

    text = summary_text(_FIT, _posterior(study))
    return f"{text}\n\nReport: {results_folder(study) / 'report' / 'index.html'}"


def _posterior(study: PymcStudy) -> "xr.DataTree":
    """Posterior made with the settings of this study, from its files as they are now."""
    path = results_folder(study) / "fits" / _FIT / "posterior.nc"
    tree = read_posterior(path)
    require_settings(path, pymc_settings(study, "posterior"))
    require_inputs(path, study.model.path, *model_files(study))
    return tree

"""Nested runs as a stage of any domain: one run with its checkpoint, several runs merged."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skymix.errors import StudyError
from skymix.store import Provenance, RunProduct, read_product
from skymix.store.lineage import require_inputs, require_settings
from skymix.study.mixture import NestedSampler, Sampler

if TYPE_CHECKING:
    from skymix.sampling import Executor, NestedRun, Progress
    from skymix.sampling.problem import Problem

RUN_TIMING = ("ranks", "nodes", "lost_time", "load_balance")


@contextmanager
def nested_run(
    problem: "Problem",
    settings: NestedSampler,
    made: Provenance,
    progress: "Progress",
    run: int | None = None,
    executor: "Executor | None" = None,
    checkpoint: Path | None = None,
    deadline: float | None = None,
) -> "Iterator[NestedRun]":
    """Sample a problem; the checkpoint goes when the caller has written the run.

    Parameters
    ----------
    made : seed, settings and inputs, in which the run must agree with one of the checkpoint
    run : number of one of several runs, each with random numbers of its own
    executor : who evaluates the likelihood; without one this process
    checkpoint : file that keeps the run while it goes on
    deadline : seconds since the epoch at which the job ends

    Raises
    ------
    Interrupted
        If the run was asked to stop; its checkpoint is written.
    """
    from skymix.sampling import Checkpoint, SerialExecutor, Session, StopRequest, sample_nested

    if made.seed is None:
        raise ValueError("a nested run needs a seed")
    kept = None
    if checkpoint is not None:
        identity = {
            "inputs": json.dumps(made.inputs, sort_keys=True),
            "sampler settings": json.dumps(made.study, sort_keys=True),
            "seed": str(made.seed),
            "run": str(run),
        }
        kept = Checkpoint(checkpoint, identity, settings.checkpoint_every)
    yield sample_nested(
        problem,
        settings.live_points,
        settings.dlogz,
        settings.bound,
        settings.sample,
        made.seed if run is None else (made.seed, run),
        progress,
        settings.batch_size,
        Session(executor or SerialExecutor(), kept, StopRequest(deadline)),
    )
    if kept is not None:
        kept.remove()


def check_run(sampler: Sampler, run: int | None) -> None:
    """Refuse a number of a run that the study does not have, or the lack of one that it has."""
    runs = sampler.runs if isinstance(sampler, NestedSampler) else 1
    if runs == 1 and run is not None:
        raise StudyError("sampler.runs: the study has a single run; leave out --run")
    if runs > 1 and run is None:
        raise StudyError(
            f"sampler.runs: is {runs}; make each with --run 1 to {runs}, then use 'skymix"
            " merge-runs'"
        )
    if run is not None and not 1 <= run <= runs:
        raise StudyError(f"sampler.runs: is {runs}; there is no run {run}")


def run_product(run: "NestedRun") -> RunProduct:
    """Dead points of one of several runs, as they are written."""
    names = {f.name for f in dataclasses.fields(RunProduct)} - set(RUN_TIMING)
    fields = {name: getattr(run, name) for name in names}
    return RunProduct(**fields, **dataclasses.asdict(run.timing))


def check_runs(sampler: Sampler, runs: Sequence[Path]) -> None:
    """Refuse another number of runs than the study has."""
    wanted = sampler.runs if isinstance(sampler, NestedSampler) else 0
    if len(runs) != wanted or wanted < 2:
        raise StudyError(
            f"sampler.runs: is {wanted}, but {len(runs)} runs are given; give each run of the"
            " study once"
        )


def merged(runs: Sequence[Path], settings: Mapping[str, Any], source: Path) -> "NestedRun":
    """Independent runs as one, each checked to be of these settings and made from this file."""
    from skymix.sampling import NestedRun, Timing, merge_runs

    parts = []
    for path in runs:
        require_settings(path, settings)
        require_inputs(path, source)
        fields = vars(read_product(path, RunProduct))
        timing = {name: fields.pop(name) for name in RUN_TIMING}
        parts.append(NestedRun(**fields, timing=Timing(**timing)))
    return merge_runs(parts)

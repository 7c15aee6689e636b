# The study, and what the rules ask of it.

import json
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from skymix.errors import StudyError
from skymix.study.files import component_tables, event_file, response_file
from skymix.study.load import read_mapping, study_from_mapping
from skymix.study.stages import observation_of_key, response_key, stage_settings

try:
    for path in workflow.configfiles:
        read_mapping(path)  # snakemake overlooks a key that is given twice
    STUDY = study_from_mapping(config)
except StudyError as error:
    raise WorkflowError(str(error)) from None

# Jobs find the `skymix` that was installed beside this snakemake.
shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

RECORDED = [name for name in STUDY.observations if event_file(STUDY, name)]
SIMULATED = [name for name in STUDY.observations if name not in RECORDED]


def one_of(names):
    """Pattern of a wildcard that is one of the names; matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def settings(stage, **names):
    """Settings that shape a stage's product; a job reruns when they change."""
    return json.dumps(stage_settings(STUDY, stage, **names))


FROZEN = settings("report")


def response_table(wildcards):
    """Response of an observation."""
    key = response_key(STUDY, wildcards.observation)
    return f"results/{wildcards.study}/response/{key}.h5"


def marginals_of(wildcards):
    """Marginals of every component for the observation that is fitted."""
    folder = f"results/{wildcards.study}/marginals/{wildcards.fit}"
    return [f"{folder}/{component}.h5" for component in STUDY.tree.leaves()]


def irf_of(wildcards):
    """Recorded response behind a response table; none for the parametric telescope."""
    return response_file(STUDY, observation_of_key(STUDY, wildcards.key)) or []


def growing(amount):
    """Resource that doubles at every attempt."""
    return lambda wildcards, attempt: amount * 2 ** (attempt - 1)


wildcard_constraints:
    study=re.escape(STUDY.name),
    observation=one_of(STUDY.observations),
    fit=one_of(STUDY.observations),
    component=one_of(STUDY.components),
    key="[^/]+",

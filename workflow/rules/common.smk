# The study, and what the rules ask of it.

import functools
import hashlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from skymix.errors import SkymixError
from skymix.study.files import component_tables, event_files, response_file, star_table
from skymix.study.jobs import bundles, chunks
from skymix.study.load import any_study_from_mapping, read_mapping
from skymix.study.stages import response_key, stage_settings

try:
    for path in workflow.configfiles:
        read_mapping(path)  # snakemake overlooks a key that is given twice
    STUDY = any_study_from_mapping(config, Path(workflow.configfiles[-1]).parent)
    GAMMA = STUDY.domain == "gamma"
    BUNDLES = bundles(STUDY) if GAMMA else {}
except SkymixError as error:
    raise WorkflowError(str(error)) from None

# Jobs find the `skymix` that was installed beside this snakemake. A prefix takes the place of
# snakemake's own, without which the failure of all but the last command of a pipe is not seen.
FOLDER = Path(sys.executable).parent
SKYMIX = str(FOLDER / "skymix")
shell.prefix(f"set -euo pipefail; export PATH={shlex.quote(str(FOLDER))}:$PATH; ")

FITS = STUDY.fitted()
RUNS = range(1, getattr(STUDY.sampler, "runs", 1) + 1)


def one_of(names):
    """Pattern of a wildcard that is one of the names; matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


@functools.cache
def settings(stage, **names):
    """Checksum of the settings that shape a stage's product; a job reruns when it changes."""
    found = SETTINGS[STUDY.domain](STUDY, stage, **names)
    text = json.dumps(found, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def marginal_settings(wildcards):
    """Checksum of the settings that shape the marginals of a component in an observation."""
    names = {"observation": wildcards.observation, "component": wildcards.component}
    return settings("marginals", **names)


def growing(amount):
    """Resource that doubles at every attempt."""
    return lambda wildcards, attempt: amount * 2 ** (attempt - 1)


wildcard_constraints:
    study=re.escape(STUDY.name),
    fit="[^/]+",

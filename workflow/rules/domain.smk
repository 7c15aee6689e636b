# What differs between the domains of studies.

from skymix.study.files import model_files
from skymix.study.pymc_stages import pymc_settings
from skymix.study.star_stages import star_settings

SETTINGS = {"gamma": stage_settings, "stars": star_settings, "pymc": pymc_settings}

# What the sampler reads: tables of densities, the stars themselves, or the text of a model and the
# files that it reads; and what the report shows beside the posterior.
FIT = "results/{study}/fits/{fit}"
if GAMMA:
    SOURCE, MORE, SHOWN = f"{FIT}/likelihood.h5", [], ["diagnostics.h5"]
elif STUDY.domain == "stars":
    SOURCE, MORE, SHOWN = f"{FIT}/catalogue.h5", [], ["membership.ecsv"]
else:
    SOURCE, MORE, SHOWN = str(STUDY.model.path), model_files(STUDY), []

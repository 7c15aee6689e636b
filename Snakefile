# The workflow of one study: snakemake --profile profiles/default --configfile config/config.yaml
# Every rule calls one `skymix` command; docs/study-file.md says what a study holds.

from snakemake.utils import min_version, validate

min_version("9.27")


if not workflow.configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"


validate(config, "config/schema.json", set_default=False)


include: "workflow/rules/domain.smk"
include: "workflow/rules/study.smk"
include: f"workflow/rules/{'posterior' if len(RUNS) == 1 else 'runs'}.smk"
include: "workflow/rules/report.smk"


if GAMMA:

    include: "workflow/rules/gamma.smk"
    include: "workflow/rules/inputs.smk"
    include: "workflow/rules/events.smk"
    include: "workflow/rules/response.smk"
    include: "workflow/rules/marginals.smk"
    include: "workflow/rules/bundles.smk"
    include: "workflow/rules/likelihood.smk"
    include: "workflow/rules/diagnostics.smk"
    include: "workflow/rules/calibration.smk"
    include: "workflow/rules/limits.smk"

elif STUDY.domain == "stars":

    include: "workflow/rules/stars.smk"


rule all:
    default_target: True
    input:
        f"results/{STUDY.name}/report/index.html",


if GAMMA:

    rule calibration:
        input:
            expand("results/{study}/calibration/{fit}.h5", study=STUDY.name, fit=FITS),

    rule limits:
        input:
            limits_of_fits,

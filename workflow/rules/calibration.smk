rule calibrate:
    input:
        likelihood="results/{study}/fits/{fit}/likelihood.h5",
    output:
        "results/{study}/calibration/{fit}/{part}.h5",
    log:
        "results/{study}/logs/calibration/{fit}/{part}.log",
    benchmark:
        "results/{study}/benchmarks/calibration/{fit}/{part}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        study="results/{study}/study.yaml",
        responses="results/{study}/response",
        surveys=lambda wildcards: "--first {} --count {}".format(
            PARTS[wildcards.part][0],
            PARTS[wildcards.part][1] - PARTS[wildcards.part][0],
        ),
        settings=settings("calibration"),
    message:
        "Calibrating {wildcards.fit}, surveys {wildcards.part}"
    shell:
        "skymix calibrate {params.study} {wildcards.fit} --likelihood {input.likelihood}"
        " --responses {params.responses} {params.surveys} -o {output} > {log} 2>&1"


rule gather_calibration:
    input:
        expand("results/{{study}}/calibration/{{fit}}/{part}.h5", part=PARTS),
    output:
        "results/{study}/calibration/{fit}.h5",
    log:
        "results/{study}/logs/calibration/{fit}.log",
    benchmark:
        "results/{study}/benchmarks/calibration/{fit}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        study="results/{study}/study.yaml",
        settings=settings("calibration"),
    message:
        "Testing the calibration of {wildcards.fit}"
    shell:
        "skymix gather-calibration {params.study} {wildcards.fit} {input} -o {output}"
        " 2>&1 | tee {log}"

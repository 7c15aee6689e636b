rule set_limits:
    input:
        likelihood="results/{study}/fits/{fit}/likelihood.h5",
    output:
        "results/{study}/limits/{fit}/{part}.h5",
    log:
        "results/{study}/logs/limits/{fit}/{part}.log",
    benchmark:
        "results/{study}/benchmarks/limits/{fit}/{part}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        study="results/{study}/study.yaml",
        events="results/{study}/events",
        responses="results/{study}/response",
        channel=lambda wildcards: shlex.quote(LIMITS[wildcards.part][0]),
        simulations=lambda wildcards: "--first {} --count {}".format(
            LIMITS[wildcards.part][1],
            LIMITS[wildcards.part][2] - LIMITS[wildcards.part][1],
        ),
        settings=settings("limits"),
    message:
        "Setting limits with {wildcards.fit}, {wildcards.part}"
    shell:
        "skymix set-limits {params.study} {wildcards.fit} {params.channel}"
        " --events-folder {params.events} --responses {params.responses} {params.simulations}"
        " -o {output} > {log} 2>&1"


rule gather_limits:
    input:
        expand("results/{{study}}/limits/{{fit}}/{part}.h5", part=LIMITS),
    output:
        "results/{study}/limits/{fit}.h5",
    log:
        "results/{study}/logs/limits/{fit}.log",
    benchmark:
        "results/{study}/benchmarks/limits/{fit}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        study="results/{study}/study.yaml",
        settings=settings("limits"),
    message:
        "Joining the limits of {wildcards.fit}"
    shell:
        "skymix gather-limits {params.study} {wildcards.fit} {input} -o {output}"
        " 2>&1 | tee {log}"

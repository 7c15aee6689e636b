rule marginalise_nuisance:
    input:
        events="results/{study}/events/{observation}.h5",
        response=response_table,
        tables=lambda wildcards: component_tables(STUDY, wildcards.component),
    output:
        "results/{study}/marginals/{observation}/{component}.h5",
    log:
        "results/{study}/logs/marginals/{observation}/{component}.log",
    benchmark:
        "results/{study}/benchmarks/marginals/{observation}/{component}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        study="results/{study}/study.yaml",
        settings=lambda wildcards: settings(
            "marginals",
            observation=wildcards.observation,
            component=wildcards.component,
        ),
    message:
        "Marginalising {wildcards.component} over {wildcards.observation}"
    shell:
        "skymix marginalise-nuisance {params.study} {wildcards.observation} {wildcards.component}"
        " --events {input.events} --response {input.response} -o {output} > {log} 2>&1"

rule read_events:
    input:
        recorded=lambda wildcards: event_files(STUDY, wildcards.observation),
    output:
        "results/{study}/events/{observation}.h5",
    log:
        "results/{study}/logs/events/{observation}.log",
    benchmark:
        "results/{study}/benchmarks/events/{observation}.tsv"
    wildcard_constraints:
        observation=one_of(RECORDED),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        study="results/{study}/study.yaml",
        settings=lambda wildcards: settings("events", observation=wildcards.observation),
    message:
        "Reading the events of {wildcards.observation}"
    shell:
        "skymix read-events {params.study} {wildcards.observation} -o {output} > {log} 2>&1"


rule simulate_events:
    input:
        response=response_table,
        tables=component_tables(STUDY, *STUDY.components),
    output:
        "results/{study}/events/{observation}.h5",
    log:
        "results/{study}/logs/events/{observation}.log",
    benchmark:
        "results/{study}/benchmarks/events/{observation}.tsv"
    wildcard_constraints:
        observation=one_of(SIMULATED),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        study="results/{study}/study.yaml",
        settings=lambda wildcards: settings("events", observation=wildcards.observation),
    message:
        "Simulating the events of {wildcards.observation}"
    shell:
        "skymix simulate-events {params.study} {wildcards.observation}"
        " --response {input.response} -o {output} > {log} 2>&1"

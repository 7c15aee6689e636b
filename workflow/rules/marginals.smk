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
    wildcard_constraints:
        observation=one_of(name for name in ALONE if name not in CHUNKED),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        study="results/{study}/study.yaml",
        chunk="",
        settings=marginal_settings,
    message:
        "Marginalising {wildcards.component} over {wildcards.observation}"
    shell:
        "skymix marginalise-nuisance {params.study} {wildcards.observation} {wildcards.component}"
        " {params.chunk} --events {input.events} --response {input.response} -o {output}"
        " > {log} 2>&1"


use rule marginalise_nuisance as marginalise_chunk with:
    output:
        temp(
            "results/{study}/marginals/{observation}/{component}/{chunk}-of-{total}.h5"
        ),
    log:
        "results/{study}/logs/marginals/{observation}/{component}-{chunk}-of-{total}.log",
    benchmark:
        "results/{study}/benchmarks/marginals/{observation}/{component}-{chunk}-of-{total}.tsv"
    wildcard_constraints:
        observation=one_of(CHUNKED),
        chunk="[0-9]+",
        total="[0-9]+",
    params:
        study="results/{study}/study.yaml",
        chunk="--chunk {chunk}/{total}",
        settings=marginal_settings,
    message:
        "Marginalising {wildcards.component} over part {wildcards.chunk} of {wildcards.observation}"


rule join_marginals:
    input:
        chunks_of,
    output:
        "results/{study}/marginals/{observation}/{component}.h5",
    log:
        "results/{study}/logs/marginals/{observation}/{component}.log",
    benchmark:
        "results/{study}/benchmarks/marginals/{observation}/{component}.tsv"
    wildcard_constraints:
        observation=one_of(CHUNKED),
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        study="results/{study}/study.yaml",
        settings=marginal_settings,
    message:
        "Joining the parts of {wildcards.component} over {wildcards.observation}"
    shell:
        "skymix join-marginals {params.study} {wildcards.observation} {wildcards.component}"
        " {input} -o {output} > {log} 2>&1"

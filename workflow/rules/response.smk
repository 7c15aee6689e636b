rule tabulate_response:
    input:
        irf=irf_of,
    output:
        "results/{study}/response/{key}.h5",
    log:
        "results/{study}/logs/response/{key}.log",
    benchmark:
        "results/{study}/benchmarks/response/{key}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        study="results/{study}/study.yaml",
        observation=lambda wildcards: USERS[wildcards.key][0],
        settings=lambda wildcards: settings(
            "response", observation=USERS[wildcards.key][0]
        ),
    message:
        "Tabulating the response {wildcards.key}"
    shell:
        "skymix tabulate-response {params.study} {params.observation} -o {output} > {log} 2>&1"

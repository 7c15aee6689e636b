rule gather_marginals:
    input:
        ready=ready_of,
    output:
        "results/{study}/fits/{fit}/likelihood.h5",
    log:
        "results/{study}/logs/fits/{fit}/likelihood.log",
    benchmark:
        "results/{study}/benchmarks/fits/{fit}/likelihood.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        study="results/{study}/study.yaml",
        events="results/{study}/events",
        marginals="results/{study}/marginals",
        settings=settings("likelihood"),
    message:
        "Gathering the marginals of {wildcards.fit}"
    shell:
        "skymix gather-marginals {params.study} {wildcards.fit}"
        " --events-folder {params.events} --marginals-folder {params.marginals}"
        " -o {output} > {log} 2>&1"

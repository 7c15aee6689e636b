rule predict_posterior:
    input:
        ready=ready_of,
        likelihood="results/{study}/fits/{fit}/likelihood.h5",
        posterior="results/{study}/fits/{fit}/posterior.nc",
    output:
        "results/{study}/fits/{fit}/diagnostics.h5",
    log:
        "results/{study}/logs/fits/{fit}/diagnostics.log",
    benchmark:
        "results/{study}/benchmarks/fits/{fit}/diagnostics.tsv"
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
        settings=settings("diagnostics"),
    message:
        "Predicting the data of {wildcards.fit}"
    shell:
        "skymix predict-posterior {params.study}"
        " --events-folder {params.events} --marginals-folder {params.marginals}"
        " --likelihood {input.likelihood} --posterior {input.posterior}"
        " -o {output} > {log} 2>&1"

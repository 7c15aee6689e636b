rule predict_posterior:
    input:
        ready=lambda wildcards: ready(wildcards.fit),
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
        events="results/{study}/events/{fit}.h5",
        marginals=lambda wildcards: [
            f"--marginals results/{wildcards.study}/marginals/{wildcards.fit}/{leaf}.h5"
            for leaf in STUDY.tree.leaves()
        ],
        settings=settings("diagnostics"),
    message:
        "Predicting the data of {wildcards.fit}"
    shell:
        "skymix predict-posterior {params.study} --events {params.events}"
        " --likelihood {input.likelihood} --posterior {input.posterior}"
        " {params.marginals} -o {output} > {log} 2>&1"

# Independent runs are jobs of their own, which need no MPI.
rule sample_run:
    input:
        likelihood=SOURCE,
        files=MORE,
    output:
        "results/{study}/fits/{fit}/runs/{run}.h5",
    log:
        "results/{study}/logs/fits/{fit}/runs/{run}.log",
    benchmark:
        "results/{study}/benchmarks/fits/{fit}/runs/{run}.tsv"
    wildcard_constraints:
        run=one_of(map(str, RUNS)),
    conda:
        "../../envs/environment.yaml"
    threads: STUDY.likelihood.threads if GAMMA else 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        study="results/{study}/study.yaml",
        settings=settings("posterior"),
    message:
        "Run {wildcards.run} of the posterior of {wildcards.fit}"
    shell:
        "skymix sample-posterior {params.study} {input.likelihood} -o {output}"
        " --run {wildcards.run} 2>&1 | (trap '' INT TERM USR1; tee {log})"


rule merge_runs:
    input:
        likelihood=SOURCE,
        files=MORE,
        runs=expand("results/{{study}}/fits/{{fit}}/runs/{run}.h5", run=RUNS),
    output:
        "results/{study}/fits/{fit}/posterior.nc",
    log:
        "results/{study}/logs/fits/{fit}/merge.log",
    benchmark:
        "results/{study}/benchmarks/fits/{fit}/merge.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        study="results/{study}/study.yaml",
        settings=settings("posterior"),
    message:
        "Merging the runs of {wildcards.fit}"
    shell:
        "skymix merge-runs {params.study} {input.likelihood} {input.runs} -o {output}"
        " > {log} 2>&1"

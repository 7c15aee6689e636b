rule sample_posterior:
    input:
        likelihood=SOURCE,
        files=MORE,
    output:
        "results/{study}/fits/{fit}/posterior.nc",
    log:
        "results/{study}/logs/fits/{fit}/posterior.log",
    benchmark:
        "results/{study}/benchmarks/fits/{fit}/posterior.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: STUDY.likelihood.threads if GAMMA else 1
    # With a launcher of MPI, such as `mpiexec`, it runs as that many tasks. No parameter: the
    # posterior is the same, so a run elsewhere must not make it anew.
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
        mpi="",
        tasks=1,
    params:
        study="results/{study}/study.yaml",
        settings=settings("posterior"),
    message:
        "Sampling the posterior of {wildcards.fit}"
    # Progress goes to the log and to the screen; tee ignores the signals that the sampler handles.
    shell:
        "mpi='{resources.mpi}'; ${{mpi:+$mpi -n {resources.tasks}}}"
        " skymix sample-posterior {params.study} {input.likelihood} -o {output}"
        " 2>&1 | (trap '' INT TERM USR1; tee {log})"

rule marginalise_bundle:
    input:
        responses=shared_responses,
        recorded=recorded_files,
        tables=component_tables(STUDY, *STUDY.components),
    output:
        "results/{study}/bundles/{bundle}.json",
    log:
        "results/{study}/logs/bundles/{bundle}.log",
    benchmark:
        "results/{study}/benchmarks/bundles/{bundle}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        study="results/{study}/study.yaml",
        observations=lambda wildcards: BUNDLES[wildcards.bundle],
        settings=bundle_settings,
    message:
        "Marginalising over {wildcards.bundle} and its neighbours"
    shell:
        "skymix marginalise-bundle {params.study} {params.observations} -o {output} > {log} 2>&1"

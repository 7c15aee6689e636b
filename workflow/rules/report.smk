rule make_report:
    input:
        fits=expand(
            "results/{{study}}/fits/{fit}/{product}",
            fit=FITS,
            product=["posterior.nc", *SHOWN],
        ),
        limits=lambda wildcards: limits_shown() if GAMMA else [],
    output:
        "results/{study}/report/index.html",
    log:
        "results/{study}/logs/report.log",
    benchmark:
        "results/{study}/benchmarks/report.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        study="results/{study}/study.yaml",
        folder="results/{study}/report",
        settings=settings("report"),
    message:
        "Writing the report of {wildcards.study}"
    shell:
        "skymix make-report {params.study} -o {params.folder} > {log} 2>&1"

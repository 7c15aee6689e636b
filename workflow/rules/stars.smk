rule read_catalogue:
    input:
        star_table(STUDY),
    output:
        "results/{study}/fits/stars/catalogue.h5",
    log:
        "results/{study}/logs/fits/stars/catalogue.log",
    benchmark:
        "results/{study}/benchmarks/fits/stars/catalogue.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        study="results/{study}/study.yaml",
        settings=settings("catalogue"),
    message:
        "Reading the stars of {wildcards.study}"
    shell:
        "skymix read-catalogue {params.study} -o {output} > {log} 2>&1"


rule predict_posterior:
    input:
        catalogue="results/{study}/fits/stars/catalogue.h5",
        posterior="results/{study}/fits/stars/posterior.nc",
        table=star_table(STUDY),
    output:
        "results/{study}/fits/stars/membership.ecsv",
    log:
        "results/{study}/logs/fits/stars/membership.log",
    benchmark:
        "results/{study}/benchmarks/fits/stars/membership.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        study="results/{study}/study.yaml",
        settings=settings("membership"),
    message:
        "Membership of the stars of {wildcards.study}"
    shell:
        "skymix predict-posterior {params.study} --likelihood {input.catalogue}"
        " --posterior {input.posterior} -o {output} > {log} 2>&1"

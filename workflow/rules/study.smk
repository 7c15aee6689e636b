# The jobs read the study as it was when the run started. It is not an input of theirs: then each
# edit would rerun everything, or, with `ancient`, hide the edits that matter (snakemake issue
# 4166). What a job depends on is in its `settings`.
onstart:
    if workflow.is_main_process:
        subprocess.run(
            [SKYMIX, "freeze-study", "-o", f"results/{STUDY.name}/study.yaml"],
            input=STUDY.model_dump_json(),
            text=True,
            check=True,
        )

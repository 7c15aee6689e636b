"""What each stage of a study of a PyMC model depends on."""

from typing import Any

from skymix.study.pymc_study import PymcStudy


def pymc_settings(study: PymcStudy, stage: str) -> dict[str, Any]:
    """Just the settings that shape a stage's product, as JSON values.

    Where the model's file lies does not shape it; what is in it does, and is an input.

    Parameters
    ----------
    stage : "posterior" or "report"
    """
    whole = study.model_dump(mode="json")
    whole["model"]["path"] = study.model.path.name
    if stage == "posterior":
        sampler = {k: v for k, v in whole["sampler"].items() if k != "checkpoint_every"}
        return {"model": whole["model"], "seed": whole["seed"], "sampler": sampler}
    if stage == "report":
        return whole
    raise ValueError(f"'{stage}' is not a stage")

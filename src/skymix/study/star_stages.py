"""What each stage of a study of stars depends on."""

from typing import Any

from skymix.study.star_study import StarStudy


def star_settings(study: StarStudy, stage: str) -> dict[str, Any]:
    """Just the settings that shape a stage's product, as JSON values.

    Parameters
    ----------
    stage : "catalogue", "posterior", "membership" or "report"
    """
    whole = study.model_dump(mode="json")
    if stage == "catalogue":
        if study.control is None:
            return {"catalogue": whole["catalogue"]}
        return {k: whole[k] for k in ("catalogue", "control", "components", "tree", "seed")}
    if stage in ("posterior", "membership"):
        sampler = {k: v for k, v in whole["sampler"].items() if k != "checkpoint_every"}
        return {**{k: whole[k] for k in ("components", "tree", "seed")}, "sampler": sampler}
    if stage == "report":
        return whole
    raise ValueError(f"'{stage}' is not a stage")

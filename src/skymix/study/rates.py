"""An extended likelihood of some observations, as the likelihood's tables keep it."""

from typing import Any

from skymix.study.components import physical_amplitude
from skymix.study.likelihood import ExtendedLikelihood, Nuisance
from skymix.study.mixture import Split
from skymix.study.model import Study


def rate_settings(study: Study, observations: tuple[str, ...]) -> dict[str, Any]:
    """Amplitudes and nuisances of an extended likelihood as JSON values; {} of another kind.

    Returns
    -------
    ``amplitudes`` : prior of the factor of each component or split
    ``nuisances`` : name of the parameter, components, observations and prior of each factor
    ``physical`` : name of each physical amplitude; the node whose factor it is proportional to,
        its value where this is 1, and its unit
    """
    likelihood = study.likelihood
    if not isinstance(likelihood, ExtendedLikelihood):
        return {}
    return {
        "amplitudes": {
            name: prior.model_dump(mode="json") for name, prior in likelihood.amplitudes.items()
        },
        "nuisances": [
            factor
            for name, nuisance in likelihood.nuisances.items()
            for factor in _factors(name, nuisance, study.tree, observations)
        ],
        "physical": _physical(study, likelihood),
    }


def _factors(
    name: str, nuisance: Nuisance, tree: Split, observations: tuple[str, ...]
) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{name}.{group}" if group else name,
            "components": [leaf for c in nuisance.components for leaf in tree.leaves_of(c)],
            "observations": list(members),
            "prior": nuisance.prior.model_dump(mode="json"),
        }
        for group, members in nuisance.groups(observations).items()
    ]


def _physical(study: Study, likelihood: ExtendedLikelihood) -> dict[str, dict[str, Any]]:
    """Of every component whose factor is free; of a split if its components have the same."""
    splits = study.tree.splits()
    found: dict[str, dict[str, Any]] = {}
    for name, prior in likelihood.amplitudes.items():
        if name not in splits and prior.kind == "fixed":
            continue
        leaves = splits[name].leaves() if name in splits else [name]
        amplitudes = {leaf: physical_amplitude(study.components[leaf]) for leaf in leaves}
        if name in splits and len(set(amplitudes.values())) == 1:
            amplitudes = {name: amplitudes[leaves[0]], **amplitudes}
        for of, amplitude in amplitudes.items():
            if amplitude is not None:
                field, value, unit = amplitude
                found[f"{of}.{field}"] = {"of": of, "value": value, "unit": unit}
    return found

"""Components that the stars of a control region fix before the fit."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from skymix.axes import FloatArray
from skymix.domains.stars.mixture import StarMixture
from skymix.errors import DataError
from skymix.store import Catalogue


def check_apart(selected: Catalogue, control: Catalogue) -> None:
    """Refuse a control region with stars that the fit has, too.

    Raises
    ------
    DataError
        If there are such stars: they would count twice, and the field would hold the cluster.
    """
    both = np.intersect1d(selected.row, control.row).size
    if both:
        raise DataError(
            f"control.region: {both} of its {control.row.size} stars are in the selection, too;"
            " give catalogue.region, or an inner_radius beyond the selection"
        )


def field_text(mixture: StarMixture, point: FloatArray) -> str:
    """Parameters (ndim,) of a field and its number of stars, as a catalogue keeps them."""
    values = dict(zip(mixture.names, point.tolist(), strict=True))
    return json.dumps({"stars": mixture.catalogue.row.size, "parameters": values})


def parameters_of(field: str) -> dict[str, float]:
    """Parameters of a catalogue's field by name; none without a field."""
    values: dict[str, float] = json.loads(field)["parameters"] if field else {}
    return values


def with_fractions(tree: Mapping[str, Any], values: Mapping[str, float]) -> dict[str, Any]:
    """Settings of a tree, in which the splits whose fractions have values are fixed."""
    children = {
        name: None if below is None else with_fractions(below, values)
        for name, below in tree["children"].items()
    }
    fractions = [values.get(f"fraction.{name}") for name in list(children)[:-1]]
    known = [f for f in fractions if f is not None]
    if not known or len(known) < len(fractions):
        return {**tree, "children": children}
    return {"prior": {"fixed": [*known, 1 - sum(known)]}, "children": children}

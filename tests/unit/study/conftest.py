import copy
from collections.abc import Callable
from typing import Any

import pytest

from skymix.study.default import DEFAULT_STUDY

Raw = dict[str, Any]


@pytest.fixture
def raw() -> Raw:
    """The default study, free to be edited."""
    return copy.deepcopy(DEFAULT_STUDY)


@pytest.fixture
def edited(raw: Raw) -> Callable[..., Raw]:
    """The default study with the value at a dotted place replaced, or deleted if none is given."""

    def edit(place: str, *value: Any) -> Raw:
        *parents, last = place.split("/")
        section = raw
        for parent in parents:
            section = section.setdefault(parent, {})
        if value:
            section[last] = value[0]
        else:
            del section[last]
        return raw

    return edit

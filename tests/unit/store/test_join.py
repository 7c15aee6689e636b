"""Chunks of events, marginalised apart and joined, are the whole."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.small_study import RUN, default_component, event_list, response_of, small_study

from skymix.domains.gamma.observe import marginalise_component
from skymix.errors import DataError
from skymix.store import Marginals
from skymix.store.events import EVENTS_AT_ONCE
from skymix.store.join import join_marginals, without_data

STUDY = small_study(
    default_component("dark_matter") | {"mass": {"min": "1 TeV", "max": "9 TeV", "nodes": 3}},
    parameters={"it.mass": "2 TeV"},
    energy={"min": "0.3 TeV", "max": "30 TeV", "per_decade": 3},
    true_energy={"min": "0.2 TeV", "max": "60 TeV", "per_decade": 5},
)


def events_of(size):
    rng = np.random.default_rng(3)
    return event_list(
        (0.3, 0.4),
        0.3 * 100 ** rng.random(size),
        rng.uniform(-0.6, 0.6, size),
        rng.uniform(-0.5, 0.7, size),
    )


EVENTS = events_of(37)


@given(size=st.integers(0, 40) | st.integers(2000, 9000), total=st.integers(1, 50))
def test_chunks_are_all_events_in_their_order(size, total):
    events = event_list((0, 0), *(np.arange(size, dtype=float) for _ in range(3)))
    parts = [events.chunk(k + 1, total) for k in range(total)]
    np.testing.assert_array_equal(np.concatenate([p.energy for p in parts]), events.energy)
    np.testing.assert_array_equal(np.concatenate([p.event_id for p in parts]), events.event_id)
    step = EVENTS_AT_ONCE if size // total >= EVENTS_AT_ONCE else 1
    assert max(p.size for p in parts) - min(p.size for p in parts) <= (1 if step == 1 else 2 * step)
    assert all(p.size % step == 0 for p in parts[:-1])


@pytest.mark.parametrize("component", ["it", "other"])
@pytest.mark.parametrize("total", [1, 3])
def test_joined_chunks_are_the_whole(component, total):
    """To the last bit, but for the errors: the largest of means over other samples."""
    response, events = response_of(STUDY), events_of(3 * EVENTS_AT_ONCE + 700)

    def marginals(part):
        return marginalise_component(STUDY, RUN, component, part, response, None)

    whole = marginals(events)
    joined = join_marginals([marginals(events.chunk(k + 1, total)) for k in range(total)])
    for field in dataclasses.fields(Marginals):
        one, other = getattr(joined, field.name), getattr(whole, field.name)
        if field.name in ("binning_error", "interpolation_error"):
            assert 0.8 * other <= one <= 5 * other
        else:
            np.testing.assert_array_equal(one, other, field.name)


def test_chunk_without_events_adds_nothing():
    whole = marginalise_component(STUDY, RUN, "it", EVENTS, response_of(STUDY), None)
    joined = join_marginals([without_data(whole), whole, without_data(whole)])
    np.testing.assert_array_equal(joined.density, whole.density)
    np.testing.assert_array_equal(joined.truncation, whole.truncation)


def test_chunks_of_another_component_are_refused():
    response = response_of(STUDY)
    parts = [
        marginalise_component(STUDY, RUN, name, EVENTS, response, None) for name in ("it", "other")
    ]
    with pytest.raises(DataError, match="chunks of it in centre differ in 'parameters'"):
        join_marginals(parts)

"""On and off regions: where they are, what is counted, and densities that integrate to 1."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skymix.axes import separation
from skymix.domains.gamma.on_off import turned
from skymix.errors import StudyError
from skymix.study import study_from_mapping
from skymix.study.default import DEFAULT_STUDY

HERE = {"frame": "icrs", "lon": "83.6 deg", "lat": "22 deg"}
ON_OFF = {"kind": "on_off", "paths": ["a.fits"], "position": HERE, "radius": "0.2 deg"}


@pytest.mark.parametrize("pivot", [(0.0, 0.0), (170.0, 60.0)])
def test_turned_directions_keep_their_distance_and_close_the_circle(pivot):
    start = (pivot[0], pivot[1] + 0.6)
    places = [turned(*start, pivot, 2 * np.pi * k / 6) for k in range(7)]
    for lon, lat in places:
        assert separation(lon, lat, *pivot) == pytest.approx(0.6, rel=1e-9)
    assert_allclose(places[6], start, atol=1e-9)
    steps = [separation(*a, *b) for a, b in pairwise(places)]
    assert_allclose(steps, steps[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("events", "response"),
    [
        (ON_OFF, {"kind": "parametric"}),
        ({"kind": "dl3", "path": "a.fits"}, {"kind": "point_like", "path": "a.fits"}),
    ],
)
def test_on_off_events_and_point_like_responses_need_each_other(events, response):
    raw = DEFAULT_STUDY | {"observations": {"run": {"events": events, "response": response}}}
    with pytest.raises(StudyError, match="'on_off' and a response of kind 'point_like' need each"):
        study_from_mapping(raw)

"""The open cluster NGC 103 in Gaia DR3, from the proper motions of the middle of its field."""

from pathlib import Path

import numpy as np
import pytest

from skymix.domains.stars.build import mixture_of
from skymix.domains.stars.catalogue import read_catalogue
from skymix.sampling import sample_nested
from skymix.study.load import any_study_from_mapping, load_any_study

STUDY = Path(__file__).resolve().parents[2] / "config" / "studies" / "ngc103.yaml"
PUBLISHED = {"pmra": -2.812, "pmdec": -1.070}
SYSTEMATIC = 0.025  # mas/yr, of small fields in DR3 (Lindegren et al. 2021, A&A 649, A2)


@pytest.fixture(scope="module")
def mixture(data_folder):
    """The study's cluster over one component and a uniform one, within 0.15 deg."""
    raw = load_any_study(STUDY).model_dump(mode="json")
    raw["catalogue"]["region"] = {
        "lon_column": "RA_ICRS", "lat_column": "DE_ICRS",
        "lon": "6.305 deg", "lat": "61.322 deg", "radius": "0.15 deg",
    }  # fmt: skip
    components = raw["components"]
    components["distant"] |= {"shape": "diagonal"}
    raw["components"] = {
        "cluster": components["cluster"],
        "distant": components["distant"],
        "fast": {"kind": "uniform"},
    }
    raw["tree"]["children"]["field"]["children"] = {"distant": None, "fast": None}
    study = any_study_from_mapping(raw)
    return mixture_of(study, read_catalogue(study.catalogue, data_folder))


def test_proper_motion_is_the_published_one(mixture):
    run = sample_nested(mixture, 40, 1.0, "single", "rwalk", 1)
    draws = run.samples[run.equal_weight_draws(np.random.default_rng(0))]
    at = {name: j for j, name in enumerate(mixture.names)}
    for coordinate, value in PUBLISHED.items():
        found = draws[:, at[f"cluster.mean.{coordinate}"]]
        assert 0.002 < found.std() < 0.03
        assert abs(found.mean() - value) < 3 * np.hypot(found.std(), SYSTEMATIC)
    mean, spread = mixture.membership(draws[::20])
    k = mixture.tree.leaves.index("cluster")
    # The middle of the field has most of the cluster's some 285 stars.
    assert 150 < np.count_nonzero(mean[:, k] > 0.5) < 350
    assert spread[:, k].max() < 0.3

"""Scanned parameters of components."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import TypeAdapter

from skymix.domains.gamma.components.parameters import Values, scanned_parameters
from skymix.errors import StudyError
from skymix.study.components import AnyComponent

COMPONENT = TypeAdapter(AnyComponent)


def dark_matter(**changes):
    settings = {
        "kind": "dark_matter",
        "profile": {
            "kind": "gnfw",
            "scale_radius": {"min": "10 kpc", "max": "30 kpc", "nodes": 3},
        },
        "spectrum": {"kind": "closed_form", "channels": {"b": 1}},
        "mass": {"min": "100 GeV", "max": "10 TeV", "nodes": 3, "spacing": "log"},
    }
    return COMPONENT.validate_python(settings | changes)


def test_names_units_nodes_and_what_shapes_the_sky():
    radius, mass = scanned_parameters("halo", dark_matter(), "profile")
    assert (radius.name, radius.field) == ("halo.scale_radius", "profile.scale_radius")
    assert (radius.unit, radius.shapes_sky) == ("kpc", True)
    assert_allclose(radius.nodes, [10, 20, 30])
    assert (mass.name, mass.unit, mass.shapes_sky) == ("halo.mass", "TeV", False)
    assert_allclose(mass.nodes, [0.1, 1, 10])
    assert mass.nodes[-1] == 10


def test_numbers_have_no_unit():
    source = COMPONENT.validate_python(
        {
            "kind": "point_source",
            "position": {"frame": "icrs", "lon": "83.63 deg", "lat": "22.01 deg"},
            "spectrum": {"kind": "power_law", "index": {"min": 2, "max": 3, "nodes": 5}},
        }
    )
    (index,) = scanned_parameters("crab", source)
    assert (index.unit, index.spacing) == ("", "linear")


def test_two_settings_cannot_share_a_parameter():
    profile = {
        "kind": "gnfw",
        "gamma": {"min": 1, "max": 1.4, "nodes": 3, "name": "x"},
        "scale_radius": {"min": "10 kpc", "max": "30 kpc", "nodes": 3, "name": "x"},
    }
    with pytest.raises(StudyError, match=r"components\.halo\.profile\.gamma: 'x' names two"):
        scanned_parameters("halo", dark_matter(profile=profile))


def test_values_of_fixed_and_scanned_settings():
    settings = dark_matter()
    mass = np.array([0.2, 0.3])
    values = Values("halo", {"halo.scale_radius": 15.0}, {"halo.mass": mass})
    assert values.nrow == 2
    assert_allclose(values.row("mass", settings.mass), mass)
    assert_allclose(values.row("other", 4.0), [4, 4])
    assert values.scalar("profile.scale_radius", settings.profile.scale_radius) == 15
    assert values.scalar("profile.gamma", settings.profile.gamma) == 1.2
    assert Values("halo", {}, {}).nrow == 1

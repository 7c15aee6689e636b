"""study -> JSON values -> study is the identity, whatever the study."""

import json

import jsonschema
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from skymix.study import study_from_mapping
from skymix.study.document import commented_yaml, json_schema

VALIDATOR = jsonschema.Draft202012Validator(json_schema())

positive = st.floats(1e-3, 1e3)
indices = st.floats(-5, 5)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)


def quantity(unit, low=1e-3, high=1e3):
    return st.floats(low, high).map(lambda value: f"{value!r} {unit}")


def scans(values, low, high, write):
    """Scan with or without a prior that lies in its range."""

    @st.composite
    def build(draw):
        ends = sorted(draw(st.lists(st.floats(low, high), min_size=4, max_size=4, unique=True)))
        scan = {"min": write(ends[0]), "max": write(ends[3]), "nodes": draw(st.integers(2, 99))}
        scan["spacing"] = draw(st.sampled_from(["linear", "log"])) if ends[0] > 0 else "linear"
        kind = draw(st.sampled_from([None, "uniform", "normal"]))
        if kind:
            scan["prior"] = {"kind": kind, "lower": write(ends[1]), "upper": write(ends[2])}
        if kind == "normal":
            scan["prior"] |= {"mean": write(ends[1]), "sd": write(abs(ends[2]) + 1)}
        return scan

    return st.one_of(values, build())


numbers = scans(indices, -5, 5, float)
energies = scans(quantity("TeV"), 1e-3, 1e3, lambda value: f"{value!r} TeV")
positions = st.fixed_dictionaries(
    {
        "frame": st.sampled_from(["galactic", "icrs"]),
        "lon": quantity("deg", -360, 360),
        "lat": quantity("deg", -90, 90),
    }
)
spectra = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("power_law"), "index": numbers},
        optional={"amplitude": quantity("TeV-1 cm-2 s-1"), "reference": quantity("GeV")},
    ),
    st.fixed_dictionaries({"kind": st.just("log_parabola"), "alpha": numbers, "beta": numbers}),
    st.fixed_dictionaries(
        {"kind": st.just("cutoff_power_law"), "index": numbers, "cutoff": energies}
    ),
)
profiles = st.one_of(
    st.fixed_dictionaries({"kind": st.just("einasto")}, optional={"alpha": positive}),
    st.fixed_dictionaries({"kind": st.just("gnfw")}, optional={"distance": quantity("pc")}),
    st.fixed_dictionaries({"kind": st.sampled_from(["nfw", "burkert", "moore"])}),
)
annihilation = st.sampled_from(
    [
        {"kind": "closed_form", "channels": {"W": 0.5, "b": 0.5}},
        {"kind": "pppc4dmid", "channels": {"tau": 1.0}, "path": "gamma.dat"},
        {"kind": "scalar_singlet", "coupling": 0.01},
    ]
)
components = st.one_of(
    st.fixed_dictionaries(
        {
            "kind": st.just("dark_matter"),
            "profile": profiles,
            "spectrum": annihilation,
            "mass": energies,
        }
    ),
    st.fixed_dictionaries(
        {"kind": st.just("point_source"), "position": positions, "spectrum": spectra}
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("gaussian_source"),
            "position": positions,
            "sigma": quantity("arcmin"),
            "spectrum": spectra,
        }
    ),
    st.fixed_dictionaries(
        {"kind": st.just("catalogue")}, optional={"exclude": st.lists(st.text(max_size=5))}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("diffuse_template")},
        optional={"path": st.none() | st.just("a.fits"), "above_last_energy": st.just("zero")},
    ),
    st.fixed_dictionaries({"kind": st.just("galactic_ridge")}, optional={"index": numbers}),
    st.fixed_dictionaries({"kind": st.just("cosmic_rays")}, optional={"normalisation": positive}),
)


@st.composite
def trees(draw, leaves):
    """Split of some leaves, with inner splits and any prior that fits."""
    if len(leaves) > 2 and draw(st.booleans()):
        cut = draw(st.integers(1, len(leaves) - 1))
        children = {leaves[0] + "+": None}
        children = {leaf: None for leaf in leaves[:cut]}
        children["node" + "x" * len(leaves)] = draw(trees(leaves[cut:]))
    else:
        children = {leaf: None for leaf in leaves}
    n = len(children)
    priors = [None, {"dirichlet": [1.5] * n}, {"fixed": [1 / n] * n}]
    priors += [{"beta": [2.0, 0.5]}] if n == 2 else []
    return {"prior": draw(st.sampled_from(priors)), "children": children}


# Of a decade of energy; with the sizes below a grid stays within what is allowed.
cells = st.floats(0.1, 100)


samplers = st.one_of(
    st.fixed_dictionaries({"live_points": st.integers(10, 5000), "dlogz": positive}),
    st.fixed_dictionaries({"kind": st.just("nested"), "seed": st.integers(0, 9)}),
    st.fixed_dictionaries({"kind": st.just("laplace"), "draws": st.integers(2000, 10**6)}),
)


@st.composite
def studies(draw):
    made = draw(
        st.dictionaries(names.map(lambda name: f"c{name}"), components, min_size=1, max_size=4)
    )
    observations = draw(st.dictionaries(names, st.booleans(), min_size=1, max_size=3))
    recorded = {"kind": "dl3", "path": "run.fits"}
    return {
        "name": draw(names),
        "description": draw(
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=9)
        ),
        "seed": draw(st.integers(0, 2**31)),
        "region": {
            "centre": draw(positions),
            "width": draw(quantity("deg", 0.1, 20)),
            "height": "2 deg",
        },
        "grids": {
            "energy": {"min": "0.1 TeV", "max": "100 TeV", "per_decade": draw(cells)},
            "true_energy": {"min": "50 GeV", "max": "150 TeV", "per_decade": draw(cells)},
            "pixel": draw(quantity("arcmin", 1, 6)),
        },
        "observations": {
            name: {"events": recorded, "response": recorded if real else {"kind": "parametric"}}
            for name, real in observations.items()
        },
        "components": made,
        "tree": draw(trees(list(made))),
        "sampler": draw(samplers),
    }


@settings(max_examples=60)
@given(studies())
def test_study_survives_the_round_trip(raw):
    study = study_from_mapping(raw)
    values = study.model_dump(mode="json")
    assert study_from_mapping(values) == study
    assert study_from_mapping(json.loads(json.dumps(values))) == study
    assert list(study_from_mapping(values).components) == list(raw["components"])
    assert study_from_mapping(values).tree.leaves() == study.tree.leaves()
    VALIDATOR.validate(values)


@settings(max_examples=30)
@given(studies())
def test_study_file_survives_the_round_trip(raw):
    study = study_from_mapping(raw)
    assert study_from_mapping(yaml.safe_load(commented_yaml(raw))) == study

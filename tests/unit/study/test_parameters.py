import pytest
from pydantic import TypeAdapter, ValidationError

from skymix.errors import StudyError
from skymix.study import Scan, study_from_mapping
from skymix.study.model import parameter_name, true_values
from skymix.study.parameters import EnergyParameter, NumberParameter

ENERGY = TypeAdapter(EnergyParameter)
NUMBER = TypeAdapter(NumberParameter)
MASS = {"min": "200 GeV", "max": "20 TeV", "nodes": 61, "spacing": "log"}


def test_a_parameter_is_a_value_or_a_scan():
    assert ENERGY.validate_python("500 GeV") == 0.5
    scan = ENERGY.validate_python(MASS)
    assert isinstance(scan, Scan)
    assert (scan.min, scan.max) == (0.2, 20.0)


def test_prior_bounds_are_those_of_the_grid_unless_given():
    assert ENERGY.validate_python(MASS).prior_bounds() == (0.2, 20.0)
    prior = {"kind": "uniform", "lower": "500 GeV"}
    assert ENERGY.validate_python(MASS | {"prior": prior}).prior_bounds() == (0.5, 20.0)


@pytest.mark.parametrize(
    "scan",
    [
        {"min": 1, "max": 1, "nodes": 3},
        {"min": 1, "max": 2, "nodes": 1},
        {"min": -1, "max": 2, "nodes": 3, "spacing": "log"},
        {"min": 0, "max": 2, "nodes": 3, "prior": {"kind": "log_uniform"}},
        {"min": 0, "max": 2, "nodes": 3, "prior": {"kind": "uniform", "mean": 1, "sd": 1}},
        {"min": 0, "max": 2, "nodes": 3, "prior": {"kind": "normal", "mean": 1, "sd": 0}},
        {"min": 0, "max": 2, "nodes": 3, "prior": {"kind": "uniform", "lower": 2}},
        {"min": 0, "max": 2, "nodes": 3, "prior": {"kind": "uniform", "upper": 2.1}},
    ],
)
def test_impossible_scan_is_refused(scan):
    with pytest.raises(ValidationError):
        NUMBER.validate_python(scan)


def test_value_of_a_scanned_parameter_is_read_in_its_unit():
    scan = ENERGY.validate_python(MASS)
    assert scan.parse("1500 GeV") == 1.5
    with pytest.raises(ValueError, match=r"'100 GeV' is outside the scanned range 0\.2 to 20"):
        scan.parse("100 GeV")
    with pytest.raises(ValueError, match="has the unit 's'"):
        scan.parse("1 s")


def test_true_values_of_a_simulation(raw):
    raw["observations"]["centre_5h"]["events"]["parameters"]["dark_matter.mass"] = "1500 GeV"
    study = study_from_mapping(raw)
    assert true_values(study, "centre_5h") == {"dark_matter.mass": 1.5}


def test_names_of_scanned_parameters(raw):
    index = {"min": 1.8, "max": 3.0, "nodes": 13}
    raw["components"]["central_source"]["spectrum"]["index"] = index
    raw["components"]["diffuse"]["index"] = index | {"name": "slope"}
    events = raw["observations"]["centre_5h"]["events"]
    events["parameters"] |= {"central_source.index": 2.1, "slope": 2.3}
    study = study_from_mapping(raw)
    names = [parameter_name(*scan) for scan in study.scans()]
    assert names == ["dark_matter.mass", "central_source.index", "slope"]


def test_shared_parameters_must_agree(raw):
    index = {"min": 1.8, "max": 3.0, "nodes": 13, "name": "slope"}
    raw["components"]["central_source"]["spectrum"]["index"] = index
    raw["components"]["diffuse"]["index"] = dict(index, nodes=25)
    raw["observations"]["centre_5h"]["events"]["parameters"]["slope"] = 2.1
    assert len(study_from_mapping(raw).scans()) == 3  # other nodes of one range are no conflict
    raw["components"]["diffuse"]["index"] = dict(index, max=3.5)
    with pytest.raises(StudyError, match=r"share the parameter 'slope' but differ in its range"):
        study_from_mapping(raw)

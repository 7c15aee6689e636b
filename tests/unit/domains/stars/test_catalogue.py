"""Catalogues: columns, units, selections, and every kind of bad input."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from skymix.domains.stars.catalogue import read_catalogue
from skymix.errors import DataError
from skymix.study.stars import CatalogueSettings

PM = {
    "pmra": {"column": "pmRA", "error": "e_pmRA", "unit": "mas/yr", "column_unit": "mas/yr"},
    "pmdec": {"column": "pmDE", "error": "e_pmDE", "unit": "mas/yr", "column_unit": "mas/yr"},
}
RHO = [{"between": ["pmra", "pmdec"], "column": "rho"}]


def table():
    return Table(
        {
            "pmRA": [1.0, 2.0, 3.0, 4.0],
            "e_pmRA": [0.1, 0.2, 0.3, 0.4],
            "pmDE": [-1.0, -2.0, -3.0, -4.0],
            "e_pmDE": [0.2, 0.2, 0.2, 0.2],
            "rho": [0.0, 0.5, -0.5, 0.9],
            "ra": [359.9, 0.0, 0.1, 10.0],
            "dec": [60.0, 60.0, 60.0, 60.0],
            "kind": ["a", "b", "c", "d"],
        }
    )


def read(folder, content, name="stars.csv", **settings):
    kind = "votable" if name.endswith(".vot") else None
    content.write(folder / name, overwrite=True, format=kind)
    given = {"path": name, "coordinates": PM, "correlations": RHO} | settings
    return read_catalogue(CatalogueSettings.model_validate(given), folder)


@pytest.mark.parametrize("name", ["stars.csv", "stars.ecsv", "stars.fits", "stars.vot"])
def test_values_and_covariances(tmp_path, name):
    stars = read(tmp_path, table(), name)
    assert stars.names == ("pmra", "pmdec")
    assert stars.values.tolist() == [[1, -1], [2, -2], [3, -3], [4, -4]]
    assert stars.covariance[1] == pytest.approx(np.array([[0.04, 0.02], [0.02, 0.04]]))
    assert stars.row.tolist() == [0, 1, 2, 3]


def test_units_are_converted(tmp_path):
    content = table()
    content["pmRA"].unit = content["e_pmRA"].unit = "arcsec/yr"
    stars = read(tmp_path, content, "stars.ecsv")
    assert stars.values[:, 0] == pytest.approx([1e3, 2e3, 3e3, 4e3])
    assert stars.covariance[0, 0, 0] == pytest.approx(1e4)


def test_selections_count_what_they_remove(tmp_path):
    region = {
        "lon_column": "ra", "lat_column": "dec", "lon": "0 deg", "lat": "60 deg",
        "radius": "0.2 deg", "inner_radius": "0.01 deg",
    }  # fmt: skip
    stars = read(tmp_path, table(), region=region, cuts=[{"column": "e_pmRA", "max": 0.25}])
    assert stars.row.tolist() == [0]
    assert stars.cuts == {"region": 2, "e_pmRA": 1}


def test_missing_values_are_refused_or_dropped_and_counted(tmp_path):
    content = table()
    content["pmDE"] = MaskedColumn(content["pmDE"], mask=[0, 0, 1, 0])
    with pytest.raises(DataError, match=r"1 values are missing in column 'pmDE', first in row 2"):
        read(tmp_path, content, "stars.ecsv")
    stars = read(tmp_path, content, "stars.ecsv", missing="drop")
    assert stars.row.tolist() == [0, 1, 3]
    assert stars.cuts == {"missing": 1}


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("rho", 1.2, r"correlation 'rho' is 1.2 in row 1; it must lie in \[-1, 1\]"),
        ("rho", -1.0, "covariance of the errors in row 1 is not positive definite"),
        ("e_pmRA", 0.0, "error 'e_pmRA' is 0 in row 1"),
        ("e_pmDE", -0.1, "error 'e_pmDE' is -0.1 in row 1"),
    ],
)
def test_impossible_errors_are_named(tmp_path, column, value, message):
    content = table()
    content[column][1] = value
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def coordinates(**changes):
    return {"coordinates": {"pmra": PM["pmra"] | changes}, "correlations": []}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (coordinates(column="pmra"), "no column 'pmra'; the nearest names are pmRA"),
        (coordinates(column="kind"), "column 'kind' holds text"),
        (coordinates(column_unit=None), "column 'pmRA' has no unit"),
        (coordinates(column_unit="kg"), "column 'pmRA': 'kg' .* are not convertible"),
        ({"cuts": [{"column": "pmRA", "min": 9}]}, "no star is left of 4.*'pmRA': 4"),
        ({"path": "elsewhere.csv"}, "no such file"),
        ({"format": "fits"}, "astropy cannot read it"),
    ],
)
def test_refused(tmp_path, settings, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, table(), **settings)

"""The energy scale as a parameter, against a response whose dispersion is moved."""

from dataclasses import replace

import numpy as np
import pytest
from tests.synthetic import small_exposure
from tests.unit.domains.gamma.test_marginalise import Blob, some_data

from skymix.domains.gamma.energy_scale import Observed, over_scales
from skymix.domains.gamma.marginalise import marginalise
from skymix.study.parameters import Scan
from skymix.study.quantities import PositiveNumber

SCAN = Scan[PositiveNumber](min=0.9, max=1.1, nodes=5)
SCALES = np.linspace(0.9, 1.1, 5)


def marginals_of(exposure, data, binned):
    def marginals(observed):
        return [marginalise(Blob(), observed.exposure, observed.data, binned, 1e-6, "blob", "run")]

    (found,) = over_scales("energy_scale.it", SCAN, Observed(data, exposure), marginals)
    return found


@pytest.mark.parametrize("binned", [True, False])
def test_scaled_energies_are_those_of_a_moved_dispersion(binned) -> None:
    exposure = small_exposure()
    data = some_data(exposure)
    found = marginals_of(exposure, data, binned)
    assert found.parameters == ("index", "energy_scale.it")
    assert found.nodes.tolist() == [5, 5]
    np.testing.assert_allclose(found.node_values[5:], SCALES)
    for k, scale in enumerate(SCALES):
        response = replace(exposure.response, log_migra=exposure.response.log_migra + np.log(scale))
        moved = replace(exposure, response=response)
        alone = marginalise(Blob(), moved, data, binned, 1e-6, "blob", "run")
        # The scan of an event may leave out other cells.
        tolerance = 1e-9 if binned else 1e-5
        for name in ("expected_counts", "counts_spectrum", "counts_map"):
            whole = getattr(found, name)[k::5]
            np.testing.assert_allclose(whole, getattr(alone, name), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(found.density[k::5], alone.density, rtol=tolerance)


def test_error_between_nodes_is_that_of_the_midpoints() -> None:
    exposure = small_exposure()
    data = some_data(exposure, 200)
    found = marginals_of(exposure, data, True)
    middle = Observed(data, exposure).at(0.925)
    exact = marginalise(Blob(), middle.exposure, middle.data, True, 1e-6, "blob", "run")
    between = 0.5 * (found.density[0::5] + found.density[1::5])
    change = np.abs(between - exact.density / 0.925) @ data.multiplicity
    error = np.max(change / (exact.density / 0.925 @ data.multiplicity))
    own = exact.interpolation_error
    assert found.interpolation_error == pytest.approx(max(error, own), rel=0.5)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator
from tests import reference

from skymix.mixture import LeafTable, ParameterAxis, TabulatedMixture, Tree, prior_from_mapping

AXES = {
    "mass": (np.geomspace(0.1, 100, 9), "log"),
    "index": (np.array([1.5, 2.0, 2.2, 3.0, 4.5]), "linear"),
    "width": (np.array([0.0, 0.5, 2.0]), "linear"),
}
TREE = {
    "prior": {"dirichlet": [1, 2]},
    "children": {
        "signal": None,
        "other": {"children": {"source": None, "diffuse": None, "cosmic rays": None}},
    },
}
# Parameters scanned by each leaf: 3, 2, 1 and none; mass and index are shared.
SCANS = {
    "signal": ("mass", "index", "width"),
    "source": ("index", "mass"),
    "diffuse": ("mass",),
    "cosmic rays": (),
}
PRIORS = {
    "mass": prior_from_mapping({"kind": "log_uniform", "lower": 0.1, "upper": 100}),
    "index": prior_from_mapping(
        {"kind": "normal", "lower": 1.5, "upper": 4.5, "mean": 2.5, "sd": 0.5}
    ),
    "width": prior_from_mapping({"kind": "uniform", "lower": 0, "upper": 2}),
}


def make_leaves(rng, data, scans=SCANS):
    leaves = {}
    for name, scanned in scans.items():
        axes = [(p, *AXES[p]) for p in scanned]
        shape = [nodes.size for _, nodes, _ in axes]
        leaves[name] = reference.Leaf(rng.lognormal(0, 1.5, (*shape, data)), axes)
    return leaves


def make_mixture(leaves, multiplicity, tree=TREE, priors=PRIORS):
    tables = [
        LeafTable(
            name,
            leaf.density.reshape(-1, leaf.density.shape[-1]),
            tuple(ParameterAxis(*axis) for axis in leaf.axes),
        )
        for name, leaf in leaves.items()
    ]
    return TabulatedMixture(Tree.from_mapping(tree), tables, multiplicity, priors)


def by_tree_order(mixture, leaves):
    return [leaves[name] for name in mixture.tree.leaves]


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    leaves = make_leaves(rng, 150)
    multiplicity = rng.integers(1, 4, 150).astype(float)
    return make_mixture(leaves, multiplicity), leaves


@pytest.fixture(scope="module")
def thetas(problem):
    mixture, _ = problem
    return mixture.prior_transform(np.random.default_rng(1).random((200, mixture.ndim)))


def test_names_and_sizes(problem):
    mixture, _ = problem
    fractions = ("fraction.signal", "fraction.source", "fraction.diffuse")
    assert mixture.names == (*fractions, "mass", "index", "width")
    assert mixture.labels == mixture.names
    assert mixture.ndim == 6


def test_agrees_with_the_definition(problem, thetas):
    mixture, leaves = problem
    for theta, found in zip(thetas[:40], mixture.log_likelihood(thetas[:40]), strict=True):
        expected = reference.log_likelihood(
            by_tree_order(mixture, leaves),
            mixture.weights(theta[None])[0],
            dict(zip(mixture.names, theta, strict=True)),
            mixture.multiplicity,
        )
        assert found == pytest.approx(float(expected), abs=1e-9)


def test_interpolation_agrees_with_scipy(problem, thetas):
    mixture, leaves = problem
    rows = mixture.leaf_rows(thetas)
    for name, (row, weight) in zip(mixture.tree.leaves, rows, strict=True):
        leaf = leaves[name]
        table = leaf.density.reshape(-1, leaf.density.shape[-1])
        found = np.einsum("nt,ntd->nd", weight, table[row])
        if not leaf.axes:
            np.testing.assert_array_equal(found, np.broadcast_to(leaf.density, found.shape))
            continue
        scale = {p: np.log if spacing == "log" else np.positive for p, _, spacing in leaf.axes}
        peer = RegularGridInterpolator(
            [scale[p](nodes) for p, nodes, _ in leaf.axes], leaf.density, method="linear"
        )
        columns = [scale[p](thetas[:, mixture.names.index(p)]) for p, _, _ in leaf.axes]
        np.testing.assert_allclose(found, peer(np.stack(columns, axis=1)), rtol=1e-11)


def test_nodes_are_met_exactly(problem):
    """On a node the density is the table's row: interpolation adds nothing of the neighbours."""
    mixture, leaves = problem
    theta = np.array([[1.0, 0.5, 0.25, AXES["mass"][0][4], 2.2, 0.5]])
    expected = np.log(leaves["signal"].density[4, 2, 1].astype(np.longdouble))
    expected = (mixture.multiplicity * expected).sum()
    assert mixture.log_likelihood(theta)[0] == pytest.approx(float(expected), abs=1e-9)


def test_continuous_in_every_parameter(problem):
    """No plateaus and no jumps: small steps make small, non-zero differences."""
    mixture, _ = problem
    for j in range(mixture.ndim):
        u = np.full((400, mixture.ndim), 0.37)
        u[:, j] = np.linspace(0.02, 0.98, 400)
        change = np.diff(mixture.log_likelihood(mixture.prior_transform(u)))
        assert np.all(change != 0)
        whole = np.abs(change).sum()
        assert np.abs(change).max() < 0.15 * whole


@pytest.mark.parametrize("size", [1, 480, 3000])
def test_batch_equals_one_by_one(size):
    rng = np.random.default_rng(size)
    mixture = make_mixture(make_leaves(rng, size), np.ones(size))
    u = rng.random((67, mixture.ndim))
    theta = mixture.prior_transform(u)
    batch = mixture.log_likelihood(theta)
    for i in range(67):
        np.testing.assert_array_equal(mixture.prior_transform(u[i : i + 1])[0], theta[i])
        assert mixture.log_likelihood(theta[i : i + 1])[0] == batch[i]
    shuffled = rng.permutation(67)
    np.testing.assert_array_equal(mixture.log_likelihood(theta[shuffled]), batch[shuffled])
    np.testing.assert_array_equal(mixture.log_likelihood(np.asfortranarray(theta)), batch)


def test_likelihood_changes_nothing(problem, thetas):
    """A pure function: neither the tables nor the parameters are touched."""
    mixture, _ = problem
    before = thetas.copy(), mixture.leaves[0].density.copy()
    first = mixture.log_likelihood(thetas)
    mixture.responsibilities(thetas[0])
    np.testing.assert_array_equal(mixture.log_likelihood(thetas), first)
    np.testing.assert_array_equal(thetas, before[0])
    np.testing.assert_array_equal(mixture.leaves[0].density, before[1])


@pytest.mark.parametrize(
    ("name", "value"),
    [("mass", 0.09), ("mass", 101.0), ("mass", -1.0), ("index", 4.6), ("width", np.nan)],
)
def test_outside_the_grid_is_not_a_number(problem, thetas, name, value):
    mixture, _ = problem
    theta = thetas[:3].copy()
    theta[1, mixture.names.index(name)] = value
    assert np.isnan(mixture.log_likelihood(theta)).tolist() == [False, True, False]


def test_zero_mixture_is_minus_infinity():
    leaves = {
        "a": reference.Leaf(np.array([1.0, 0.0])),
        "b": reference.Leaf(np.array([1.0, 2.0])),
    }
    tree = {"children": {"a": None, "b": None}}
    mixture = make_mixture(leaves, np.ones(2), tree)
    found = mixture.log_likelihood(np.array([[1.0], [0.5], [0.0]]))
    np.testing.assert_allclose(found, [-np.inf, 0.0, np.log(2)], atol=1e-15)


def test_order_of_tables_does_not_matter(thetas):
    leaves = make_leaves(np.random.default_rng(0), 150)
    ones = np.ones(150)
    backwards = dict(reversed(leaves.items()))
    np.testing.assert_array_equal(
        make_mixture(leaves, ones).log_likelihood(thetas),
        make_mixture(backwards, ones).log_likelihood(thetas),
    )


def test_multiplicity_is_repetition(thetas):
    rng = np.random.default_rng(8)
    leaves = make_leaves(rng, 40)
    counts = rng.integers(1, 6, 40)
    repeated = {
        name: leaf._replace(density=np.repeat(leaf.density, counts, axis=-1))
        for name, leaf in leaves.items()
    }
    np.testing.assert_allclose(
        make_mixture(leaves, counts.astype(float)).log_likelihood(thetas),
        make_mixture(repeated, np.ones(counts.sum())).log_likelihood(thetas),
        rtol=1e-12,
    )


def test_responsibilities(problem, thetas):
    mixture, leaves = problem
    for theta in thetas[:10]:
        found = mixture.responsibilities(theta)
        expected = reference.responsibilities(
            by_tree_order(mixture, leaves),
            mixture.weights(theta[None])[0],
            dict(zip(mixture.names, theta, strict=True)),
        )
        np.testing.assert_allclose(found, expected.astype(float), rtol=1e-11)
        np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-13)


def test_log_prior_is_the_sum(problem, thetas):
    mixture, _ = problem
    expected = mixture.tree.log_prior(thetas[:, :3])
    for name, prior in PRIORS.items():
        expected = expected + prior.log_density(thetas[:, mixture.names.index(name)])
    np.testing.assert_allclose(mixture.log_prior(thetas), expected, rtol=1e-12)


def test_everything_fixed():
    """A tree without free fractions and no scanned parameter still has a likelihood."""
    rng = np.random.default_rng(9)
    leaves = make_leaves(rng, 20, {"a": (), "b": ()})
    tree = {"prior": {"fixed": [0.3, 0.7]}, "children": {"a": None, "b": None}}
    mixture = make_mixture(leaves, np.ones(20), tree)
    assert mixture.ndim == 0
    expected = np.log(0.3 * leaves["a"].density + 0.7 * leaves["b"].density).sum()
    np.testing.assert_allclose(mixture.log_likelihood(np.empty((3, 0))), expected)


def test_many_leaves():
    """More children than a vector register: sums of fractions in any grouping."""
    rng = np.random.default_rng(10)
    names = {f"leaf {i}": () for i in range(40)}
    leaves = make_leaves(rng, 30, names)
    mixture = make_mixture(leaves, np.ones(30), {"children": dict.fromkeys(names)})
    theta = mixture.prior_transform(rng.random((9, mixture.ndim)))
    batch = mixture.log_likelihood(theta)
    single = [mixture.log_likelihood(theta[i : i + 1])[0] for i in range(9)]
    np.testing.assert_array_equal(batch, single)
    weights = mixture.weights(theta)
    densities = np.array([leaf.density for leaf in leaves.values()])
    np.testing.assert_allclose(batch, np.log(weights @ densities).sum(axis=1))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 200),
    scans=st.lists(
        st.lists(st.sampled_from(sorted(AXES)), max_size=3, unique=True).map(tuple),
        min_size=1,
        max_size=5,
    ),
)
def test_any_mixture(seed, size, scans):
    rng = np.random.default_rng(seed)
    names = [f"leaf {i}" for i in range(len(scans))]
    leaves = make_leaves(rng, size, dict(zip(names, scans, strict=True)))
    mixture = make_mixture(leaves, np.ones(size), {"children": dict.fromkeys(names)})
    theta = mixture.prior_transform(rng.random((1, mixture.ndim)))
    expected = reference.log_likelihood(
        list(leaves.values()),
        mixture.weights(theta)[0],
        dict(zip(mixture.names, theta[0], strict=True)),
        mixture.multiplicity,
    )
    assert mixture.log_likelihood(theta)[0] == pytest.approx(float(expected), abs=1e-9)


# Messages ------------------------------------------------------------------------------------


def refused(message, leaves, multiplicity, tree, priors=PRIORS):
    with pytest.raises(ValueError, match=message):
        make_mixture(leaves, multiplicity, tree, priors)


TWO = {"children": {"a": None, "b": None}}


def plain(*names, data=3):
    return {name: reference.Leaf(np.ones(data)) for name in names}


def test_leaves_must_be_those_of_the_tree():
    refused(
        r"tables are of \['a', 'c'\].*leaves are \['a', 'b'\]", plain("a", "c"), np.ones(3), TWO
    )
    refused(r"tables are of \['a'\]", plain("a"), np.ones(3), TWO)
    twice = [LeafTable("a", np.ones((1, 3))), LeafTable("b", np.ones((1, 3)))]
    with pytest.raises(ValueError, match="leaves"):
        TabulatedMixture(Tree.from_mapping(TWO), [*twice, twice[0]], np.ones(3), {})


def test_datum_with_zero_density_everywhere():
    leaves = plain("a", "b")
    for leaf in leaves.values():
        leaf.density[1] = 0.0
    refused("datum 1 has zero density under every component", leaves, np.ones(3), TWO)


def test_missing_prior():
    leaves = make_leaves(np.random.default_rng(0), 3, {"a": ("mass",), "b": ()})
    refused("parameter mass has no prior", leaves, np.ones(3), TWO, {})


def test_sizes_must_agree():
    refused("leaf a: 3 data, expected 4", plain("a", "b"), np.ones(4), TWO)
    axis = ParameterAxis("mass", np.array([1.0, 2.0, 3.0]), "linear")
    with pytest.raises(ValueError, match="leaf a: 2 rows for 3 parameter nodes"):
        LeafTable("a", np.ones((2, 3)), (axis,))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e-9])
def test_densities_must_be_densities(value):
    table = np.ones((1, 3))
    table[0, 1] = value
    with pytest.raises(ValueError, match="leaf a: densities must be finite and not negative"):
        LeafTable("a", table)

"""PyMC models as problems: their priors, their likelihood, and what is refused."""

import numpy as np
import pytest
from scipy import stats

from skymix.errors import SkymixError
from skymix.sampling.pymc_import import import_pymc
from skymix.sampling.pymc_problem import problem_from_pymc

pm = import_pymc()

SEED = 5
CONTINUOUS = {
    "uniform": (lambda x: pm.Uniform(x, -1, 3), stats.uniform(-1, 4)),
    "normal": (lambda x: pm.Normal(x, 1, 2), stats.norm(1, 2)),
    "half_normal": (lambda x: pm.HalfNormal(x, 2), stats.halfnorm(scale=2)),
    "truncated_normal": (
        lambda x: pm.TruncatedNormal(x, 0, 1, lower=-0.5, upper=2),
        stats.truncnorm(-0.5, 2),
    ),
    "far_tail": (
        lambda x: pm.TruncatedNormal(x, 0, 1, lower=20, upper=30),
        stats.truncnorm(20, 30),
    ),
    "one_sided": (
        lambda x: pm.TruncatedNormal(x, 1, 2, upper=0),
        stats.truncnorm(-np.inf, -0.5, 1, 2),
    ),
    "exponential": (lambda x: pm.Exponential(x, 2), stats.expon(scale=0.5)),
    "log_normal": (lambda x: pm.LogNormal(x, 0.3, 0.7), stats.lognorm(0.7, scale=np.exp(0.3))),
    "student_t": (lambda x: pm.StudentT(x, nu=3, mu=1, sigma=2), stats.t(3, 1, 2)),
    "half_student_t": (lambda x: pm.HalfStudentT(x, nu=3, sigma=2), None),
    "cauchy": (lambda x: pm.Cauchy(x, 1, 2), stats.cauchy(1, 2)),
    "half_cauchy": (lambda x: pm.HalfCauchy(x, 2), stats.halfcauchy(scale=2)),
    "gamma": (lambda x: pm.Gamma(x, 2, 3), stats.gamma(2, scale=1 / 3)),
    "inverse_gamma": (lambda x: pm.InverseGamma(x, 3, 2), stats.invgamma(3, scale=2)),
    "beta": (lambda x: pm.Beta(x, 2, 0.5), stats.beta(2, 0.5)),
    "chi_squared": (lambda x: pm.ChiSquared(x, 3), stats.chi2(3)),
    "weibull": (lambda x: pm.Weibull(x, 2, 3), stats.weibull_min(2, scale=3)),
    "laplace": (lambda x: pm.Laplace(x, 1, 2), stats.laplace(1, 2)),
    "logistic": (lambda x: pm.Logistic(x, 1, 2), stats.logistic(1, 2)),
    "gumbel": (lambda x: pm.Gumbel(x, 1, 2), stats.gumbel_r(1, 2)),
    "pareto": (lambda x: pm.Pareto(x, 2, 1.5), stats.pareto(2, scale=1.5)),
    "triangular": (lambda x: pm.Triangular(x, 0, 2, 1), stats.triang(0.5, 0, 2)),
    "kumaraswamy": (lambda x: pm.Kumaraswamy(x, 2, 3), None),
    "moyal": (lambda x: pm.Moyal(x, 1, 2), stats.moyal(1, 2)),
    "truncated_gamma": (lambda x: pm.Truncated(x, pm.Gamma.dist(2, 3), lower=0.5, upper=2), None),
}


def cube(n, ndim):
    return np.random.default_rng(SEED).random((n, ndim))


def with_data(build):
    with pm.Model() as model:
        build()
        pm.Normal("y", 0, 1, observed=np.zeros(1))
    return model


def drawn(model, name, n=4000):
    return np.asarray(pm.draw(model[name], draws=n, random_seed=SEED, mode="NUMBA"))


@pytest.fixture(scope="module")
def all_priors():
    """Model with every prior of the table, and the transform of 4000 points."""
    with pm.Model() as model:
        for name, (build, _) in CONTINUOUS.items():
            build(name)
        pm.Normal("y", 0, 1, observed=np.zeros(1))
    problem = problem_from_pymc(model)
    values = problem.prior_transform(cube(4000, problem.ndim))
    return model, dict(zip(problem.names, values.T, strict=True))


@pytest.mark.parametrize("name", CONTINUOUS)
def test_prior_follows_its_distribution(all_priors, name):
    model, values = all_priors
    x, peer = values[name], CONTINUOUS[name][1]
    assert np.isfinite(x).all()
    if peer is None:
        assert stats.ks_2samp(x, drawn(model, name)).pvalue > 1e-3
    else:
        assert stats.ks_1samp(x, peer.cdf).pvalue > 1e-3


def test_hierarchical_priors_follow_the_models_own_draws():
    with pm.Model(coords={"group": ["a", "b"]}) as model:
        centre = pm.Normal("centre", 1, 2)
        scale = pm.HalfNormal("scale", 1)
        x = pm.Normal("x", centre, scale, dims="group")
        bound = pm.Deterministic("bound", x[0] ** 2 + 1)
        pm.Uniform("z", -bound, bound)
        pm.Normal("y", x, 1, observed=np.zeros(2))
    problem = problem_from_pymc(model)
    assert problem.names == ("centre", "scale", "x[0]", "x[1]", "z")
    assert problem.labels == ("centre", "scale", "x[a]", "x[b]", "z")
    theta = problem.prior_transform(cube(4000, 5))
    own = pm.draw([model["x"], model["z"]], draws=4000, random_seed=SEED, mode="NUMBA")
    for mine, peer in (
        (theta[:, 2], own[0][:, 0]),
        (theta[:, 3], own[0][:, 1]),
        (theta[:, 4], own[1]),
    ):
        assert stats.ks_2samp(mine, peer).pvalue > 1e-3
    # x[0] and x[1] share their centre.
    assert np.corrcoef(theta[:, 2], theta[:, 3])[0, 1] > 0.5
    assert problem.derived(theta)["bound"] == pytest.approx(theta[:, 2] ** 2 + 1)


@pytest.mark.parametrize("shape", [(), (2,)])
def test_dirichlet(shape):
    a = np.array([0.5, 2.0, 3.0])
    model = with_data(lambda: pm.Dirichlet("w", a, shape=(*shape, 3)))
    problem = problem_from_pymc(model)
    n = int(np.prod(shape))
    assert problem.ndim == 2 * n
    theta = problem.prior_transform(cube(4000, 2 * n))
    first = theta.reshape(4000, n, 2)
    last = np.array(list(problem.derived(theta).values())).T
    for k in range(n):
        whole = np.column_stack([first[:, k], last[:, k]])
        assert whole.sum(axis=1) == pytest.approx(1)
        for j in range(3):
            assert stats.ks_1samp(whole[:, j], stats.beta(a[j], a.sum() - a[j]).cdf).pvalue > 1e-3


def test_multivariate_normal():
    covariance = np.array([[4.0, 1.5], [1.5, 1.0]])
    model = with_data(lambda: pm.MvNormal("m", [1.0, -1.0], covariance, shape=(3, 2)))
    problem = problem_from_pymc(model)
    assert problem.names[:3] == ("m[0,0]", "m[0,1]", "m[1,0]")
    theta = problem.prior_transform(cube(20_000, 6))
    assert np.cov(theta[:, 4:].T) == pytest.approx(covariance, abs=0.15)
    assert theta.mean(axis=0) == pytest.approx([1, -1] * 3, abs=0.06)
    assert np.corrcoef(theta.T)[0, 2:] == pytest.approx(np.zeros(4), abs=0.03)


@pytest.mark.parametrize("ascending", [True, False])
def test_ordered_prior_is_that_of_sorted_draws(ascending):
    order = pm.distributions.transforms.Ordered(ascending=ascending)
    model = with_data(
        lambda: pm.Normal(
            "x",
            1,
            2,
            shape=3,
            transform=order,
            initval=np.sort([0.0, 1, 2])[:: 1 if ascending else -1],
        )
    )
    x = problem_from_pymc(model).prior_transform(cube(4000, 3))
    free = np.sort(np.random.default_rng(1).normal(1, 2, (4000, 3)), axis=1)
    for j in range(3):
        assert stats.ks_2samp(x[:, j], free[:, j if ascending else 2 - j]).pvalue > 1e-3


def test_likelihood_is_observed_variables_and_potentials():
    y, shared = np.array([0.3, 1.2, -0.4]), np.array([1.0, 2.0, 3.0])
    with pm.Model() as model:
        x = pm.Data("x", shared)
        slope = pm.HalfNormal("slope", 2)
        w = pm.Dirichlet("w", np.ones(3))
        pm.Normal("y", slope * x + w[2], 0.5, observed=y)
        pm.Potential("extra", -3 * slope)
    problem = problem_from_pymc(model)
    theta = problem.prior_transform(cube(7, 3))
    expected = [
        stats.norm(s * shared + 1 - a - b, 0.5).logpdf(y).sum() - 3 * s for s, a, b in theta
    ]
    assert problem.log_likelihood(theta) == pytest.approx(expected)
    alone = [problem.log_likelihood(point[None])[0] for point in theta]
    assert np.array_equal(problem.log_likelihood(theta), alone)


def test_likelihoods_of_other_distributions_are_those_of_pymc():
    with pm.Model() as model:
        x = pm.Normal("x")
        mu = pm.Normal("mu", shape=2)
        s = pm.HalfNormal("s", default_transform=None)
        w = pm.Dirichlet("w", [1.0, 2.0], default_transform=None)
        pm.Mixture("mixture", w, pm.Normal.dist(mu, 1, shape=2), observed=[0.1, 0.2])
        pm.Mixture(
            "unlike", w, [pm.Normal.dist(x, s), pm.StudentT.dist(3, mu[0])], observed=[0.1, 3.0]
        )
        pm.NormalMixture("normals", w, mu, s, observed=[0.1, 0.2])
        pm.Censored("censored", pm.Normal.dist(x, 1), lower=0, upper=2, observed=[0.0, 1, 2])
        walk = np.arange(5.0)
        start = pm.Normal.dist(0, 10)
        pm.GaussianRandomWalk("walk", mu=0, sigma=s, init_dist=start, observed=walk)
        pm.AR("ar", [x], sigma=s, init_dist=start, observed=walk)
    problem = problem_from_pymc(model)
    theta = problem.prior_transform(cube(4, 5))
    density = model.compile_logp(vars=model.observed_RVs, jacobian=False, mode="NUMBA")
    at = [dict(zip(problem.names, row, strict=True)) for row in theta]
    expected = [
        density(
            {
                "x": p["x"],
                "mu": np.array([p["mu[0]"], p["mu[1]"]]),
                "s": p["s"],
                "w": np.array([p["w[0]"], 1 - p["w[0]"]]),
            }
        )
        for p in at
    ]
    assert problem.log_likelihood(theta) == pytest.approx(np.array(expected))


def test_observed_variables_stand_for_their_data():
    with pm.Model() as model:
        y = pm.Normal("y", 0, 1, observed=[1.0, 2.0])
        x = pm.Normal("x", y[1], 0.5)
        pm.Normal("z", x * y, 1, observed=[0.0, 1.0])
        pm.Deterministic("d", y * x)
    problem = problem_from_pymc(model)
    half = problem.prior_transform(np.array([[0.5]]))
    assert half[0, 0] == pytest.approx(2)
    assert problem.derived(half) == {"d[0]": pytest.approx(2), "d[1]": pytest.approx(4)}
    expected = stats.norm.logpdf([1, 2]).sum() + stats.norm.logpdf([0, 1], [2, 4]).sum()
    assert problem.log_likelihood(half)[0] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:Data in y contains missing values")
def test_missing_data_are_free_variables():
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Normal("y", x, 0.5, observed=[1.0, np.nan])
    problem = problem_from_pymc(model)
    assert problem.names == ("x", "y_unobserved[0]")
    u = cube(3, 2)
    theta = problem.prior_transform(u)
    assert theta[:, 1] == pytest.approx(stats.norm.ppf(u[:, 1], theta[:, 0], 0.5))
    assert problem.log_likelihood(theta) == pytest.approx(stats.norm.logpdf(1, theta[:, 0], 0.5))
    assert problem.derived(theta)["y[1]"] == pytest.approx(theta[:, 1])


def test_parameters_that_a_distribution_does_not_have_are_impossible():
    with pm.Model() as model:
        sigma = pm.Normal("sigma")
        pm.Normal("y", 0, sigma, observed=np.zeros(2))
    value = problem_from_pymc(model).log_likelihood(np.array([[-1.0], [1.0]]))
    assert value[0] == -np.inf
    assert np.isfinite(value[1])


def ordered_unequal():
    order = pm.distributions.transforms.ordered
    pm.Normal("x", [0.0, 1.0], 1, transform=order, initval=[0.0, 1.0])


def cut():
    pm.Normal("x", 0, 1, transform=pm.distributions.transforms.Interval(0, 1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: pm.Poisson("x", 3), "'x' is discrete.*pm.Mixture"),
        (lambda: pm.Flat("x"), "'x' is improper.*pm.Uniform"),
        (lambda: pm.HalfFlat("x"), "'x' is improper"),
        (lambda: pm.VonMises("x", 0, 1), r"'x' \(VonMises\) has no inverse.*, or take another"),
        (ordered_unequal, "'x' has another distribution for each entry"),
        (cut, "'x' has the transform 'interval'.*pm.Truncated"),
    ],
)
def test_refused(build, message):
    with pytest.raises(SkymixError, match=message):
        problem_from_pymc(with_data(build))


def random_potential():
    x = pm.Normal("x")
    pm.Potential("p", pm.Normal.dist(x, 1))


def shape_of_parameters():
    x = pm.Normal("x", shape=3)
    pm.Deterministic("d", x[x > 0])


def two_of_a_name():
    pm.Normal("x", shape=2)
    pm.Deterministic("x[1]", pm.math.constant(1.0))


def missing_counts():
    pm.Poisson("n", pm.HalfNormal("x"), observed=np.ma.array([1, 0, 0], mask=[0, 1, 1]))


def missing_part_of_a_vector():
    pm.Normal("x")
    pm.MvNormal("m", [0, 0], np.eye(2), observed=[1, np.nan])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (random_potential, "the potential 'p' would be random"),
        (lambda: pm.Normal("x", pm.Normal.dist(0, 1), 1), "the prior of 'x' would be random"),
        (shape_of_parameters, r"'d' depends on the parameters \(\(0,\), \(3,\)\); give"),
        (missing_counts, r"'n' has missing values \(NaN or masked, 2\).*; drop them"),
        (missing_part_of_a_vector, r"'m' has missing values \(NaN or masked, 1\)"),
        (lambda: pm.Normal("x", shape=0), r"'x' of shape \(0,\) has no entry that is free"),
        (lambda: pm.Dirichlet("x", [2.0]), r"'x' of shape \(1,\) has no entry that is free"),
        (two_of_a_name, r"two variables are called 'x\[1\]'; rename one"),
        (lambda: pm.Normal("chain"), "'chain' is called as a column of the posterior"),
        (lambda: pm.Normal(""), "variable '' cannot be written"),
        (lambda: pm.Normal("."), r"variable '\.' cannot be written"),
        (lambda: pm.Normal("a\nb"), r"variable 'a\\nb' cannot be written"),
        (lambda: pm.Normal("a\udc80"), r"variable 'a\\udc80' cannot be written"),
        (lambda: pm.Normal("a" * 300), r"variable 'a*\.\.\.' cannot be written"),
    ],
)
@pytest.mark.filterwarnings("ignore:Data in . contains missing values")
def test_refused_before_it_is_sampled(build, message):
    with pytest.raises(SkymixError, match=message) as caught:
        problem_from_pymc(with_data(build))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        lambda: pm.Uniform("x", 3, 1),
        lambda: pm.Uniform("x", 1, 1),
        lambda: pm.Uniform("x", -np.inf, np.inf),
        lambda: pm.Normal("x", [0.0, 0.0], [1.0, -1.0]),
        lambda: pm.Normal("x", np.nan, 1),
        lambda: pm.TruncatedNormal("x", 0, 1, lower=3, upper=1),
        lambda: pm.TruncatedNormal("x", 0, -1, lower=0, upper=1),
        lambda: pm.Truncated("x", pm.Gamma.dist(2, 3), lower=2, upper=1),
        lambda: pm.Dirichlet("x", [-1.0, 1.0]),
        lambda: pm.MvNormal("x", [0, 0], [[1.0, 2.0], [2.0, 1.0]]),
    ],
)
def test_prior_with_bad_parameters_is_named(build):
    with pytest.raises(SkymixError, match="the prior of 'x' has no value in its middle; check"):
        problem_from_pymc(with_data(build))


def test_a_model_without_free_variables_or_likelihood_is_refused():
    with pytest.raises(SkymixError, match="no free variable"):
        problem_from_pymc(with_data(lambda: None))
    with pm.Model() as model:
        pm.Normal("x")
    with pytest.raises(SkymixError, match="no likelihood"):
        problem_from_pymc(model)


def test_the_last_bits_do_not_depend_on_what_was_compiled_before(tmp_path, monkeypatch):
    """Code from PyTensor's cache is not inlined where fresh code is, so none is taken from it."""
    from pytensor.link.numba import cache

    monkeypatch.setattr(cache, "NUMBA_CACHE_PATH", tmp_path)
    x = np.linspace(0, 10, 300)
    with pm.Model() as model:
        m, b, s = pm.Normal("m", 0, 10), pm.Normal("b", 0, 10), pm.HalfNormal("s", 5)
        pm.Normal("y", m * x + b, s, observed=3 * x - 2 + np.sin(40 * x))

    def values():
        problem = problem_from_pymc(model)
        return problem.log_likelihood(problem.prior_transform(cube(200, 3)))

    first = values()
    assert np.array_equal(values(), first)
    assert not list(tmp_path.iterdir())

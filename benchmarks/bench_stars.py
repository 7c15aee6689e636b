"""The likelihood of a star cluster against PyMC's compiled log density of the same model.

8,618 stars with errors of their own in two coordinates; an isotropic cluster over three components
of full covariance. PyMC's model is a `Mixture` of `MvNormal` with a covariance for each star; the
same written out in closed form is a faster peer, with its gradient, too. All are compiled once and
called a point at a time. A ratio is the peer's time over skymix's for one point of a batch, the
median of ratios of calls that follow each other.
"""

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import numpy as np

from benchmarks.timing import seconds
from skymix.domains.stars.mixture import Component, StarMixture
from skymix.domains.stars.normal import Normal
from skymix.mixture import Tree
from skymix.mixture.priors import LogUniform, Uniform
from skymix.store import Catalogue

STARS = 8618
BATCH = 64
REPEATS = 5
XY = ("pmra", "pmdec")

Figure = tuple[str, float, str]


def problem(rng: np.random.Generator) -> StarMixture:
    """Cluster and field as in the study ngc103, at made-up stars."""
    error = np.exp(rng.normal(-2.5, 0.7, (STARS, 2)))
    rho = rng.uniform(-0.5, 0.5, STARS)
    covariance = error[:, :, None] * error[:, None, :]
    covariance[:, 0, 1] *= rho
    covariance[:, 1, 0] *= rho
    width = rng.choice([0.05, 1.3, 4.2, 20.0], STARS, p=[0.04, 0.6, 0.33, 0.03])
    values = rng.normal(-2, width, (2, STARS)).T + error * rng.normal(size=(STARS, 2))
    stars = Catalogue(XY, ("mas/yr",) * 2, values, covariance, np.arange(STARS))
    place, width_prior = Uniform(-5, 5), LogUniform(0.3, 30)
    cluster = Normal(XY, (place,) * 2, (LogUniform(0.01, 0.3),), "isotropic")
    field = Normal(XY, (place,) * 2, (width_prior,) * 2, "full")
    components = [Component("cluster", (cluster,))]
    components += [Component(f"field_{k}", (field,)) for k in range(3)]
    tree = Tree.from_mapping({"children": {c.name: None for c in components}})
    return StarMixture(stars, tree, components)


def pymc_likelihood(mixture: StarMixture) -> Callable[..., np.ndarray]:
    """PyMC's own log likelihood, of weights (k,), means (k, 2) and covariances (k, 2, 2)."""
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt

    weight, mean, intrinsic = pt.dvector(), pt.dmatrix(), pt.dtensor3()
    stars = mixture.catalogue
    parts = [
        pm.MvNormal.dist(mu=mean[k], cov=pt.as_tensor(stars.covariance) + intrinsic[k])
        for k in range(len(mixture.components))
    ]
    total = pm.logp(pm.Mixture.dist(w=weight, comp_dists=parts), stars.values).sum()
    return pytensor.function([weight, mean, intrinsic], total)


def written_out(mixture: StarMixture, gradient: bool = False) -> Callable[..., np.ndarray]:
    """The same in PyTensor, the densities in closed form, which PyMC's users must write."""
    import pytensor
    import pytensor.tensor as pt

    weight, mean, intrinsic = pt.dvector(), pt.dmatrix(), pt.dtensor3()
    (x, y), c = mixture.catalogue.values.T, mixture.catalogue.covariance
    terms = []
    for k in range(len(mixture.components)):
        a, b, d = (c[:, i, j] + intrinsic[k, i, j] for i, j in ((0, 0), (0, 1), (1, 1)))
        u, v, norm = x - mean[k, 0], y - mean[k, 1], a * d - b * b
        square = (d * u * u - 2 * b * u * v + a * v * v) / norm
        terms.append(pt.log(weight[k]) - 0.5 * (square + pt.log(norm)) - np.log(2 * np.pi))
    inputs = [weight, mean, intrinsic]
    total = pt.logsumexp(pt.stack(terms), axis=0).sum()
    return pytensor.function(inputs, [total, *pt.grad(total, inputs)] if gradient else total)


def arguments(mixture: StarMixture, theta: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weights, means and covariances of one point."""
    at = {name: theta[0, j] for j, name in enumerate(mixture.names)}
    means, covariances = [], []
    for component in mixture.components:
        own = np.array([[at[name] for name in component.parameters]])
        (normal,) = component.factors
        means.append(own[0, :2])
        a, b, c = normal.moments(own)[1][0]
        covariances.append([[a, b], [b, c]])
    return mixture.weights(theta)[0], np.array(means), np.array(covariances)


def several(call: Callable[[], object], times: int) -> None:
    """Call so many times."""
    for _ in range(times):
        call()


def run() -> Iterator[Figure]:
    """Costs beside PyMC's, and how far the two likelihoods differ."""
    rng = np.random.default_rng(0)
    mixture = problem(rng)
    theta = mixture.prior_transform(rng.random((BATCH, len(mixture.names))))
    one = theta[:1].copy()
    given = arguments(mixture, one)
    peers = {"pymc": pymc_likelihood(mixture), "written_out": written_out(mixture)}
    slopes = written_out(mixture, gradient=True)
    calls: dict[str, Callable[[], object]] = {
        "batched": lambda: mixture.log_likelihood(theta),
        "single": lambda: mixture.log_likelihood(one),
        "gradient": lambda: mixture.log_likelihood_gradient(theta),
        "written_out_gradient": lambda: slopes(*given),
        **{name: partial(peer, *given) for name, peer in peers.items()},
    }
    found: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    # Calls of like length, so that other work on the machine hits them alike.
    times = {"single": BATCH, "written_out": BATCH, "written_out_gradient": BATCH}
    for _ in range(REPEATS):
        for name, call in calls.items():
            count = times.get(name, 1)
            found[name].append(seconds(partial(several, call, count)) / count)
    batched = [t / BATCH for t in found["batched"]]
    yield "stars.batched_microseconds", 1e6 * median(batched), "us"
    yield "stars.single_microseconds", 1e6 * median(found["single"]), "us"
    for name, peer in peers.items():
        pairs = zip(found[name], batched, strict=True)
        yield f"stars.{name}_microseconds", 1e6 * median(found[name]), "us"
        yield f"stars.{name}_ratio", median(a / b for a, b in pairs), ""
        difference = float(peer(*given)) - mixture.log_likelihood(one)[0]
        yield f"stars.{name}_difference", abs(difference), ""
    gradient = [t / BATCH for t in found["gradient"]]
    pairs = zip(found["written_out_gradient"], gradient, strict=True)
    yield "stars.gradient_microseconds", 1e6 * median(gradient), "us"
    yield "stars.gradient_ratio", median(a / b for a, b in pairs), ""

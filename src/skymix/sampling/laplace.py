"""Importance sampling of a mixture from Laplace approximations at fixed scanned parameters.

The space of the scanned parameters is cut into boxes: the cells about the nodes of their grids,
then halves of those that hold most of the posterior. In each box the splits are drawn from a
Student distribution about their mode at the box's centre, the scanned parameters uniformly. A
part of the draws comes from the prior, so that no importance weight exceeds the likelihood over
that part: evidence and posterior are exact in expectation, and the spread of the weights tells
how far to trust them.
"""

import time
from dataclasses import dataclass

import numpy as np
from scipy import special

from skymix.axes import FloatArray, IntArray
from skymix.errors import SkymixError
from skymix.mixture import TabulatedMixture
from skymix.sampling.boxes import Boxes, ScannedSpace
from skymix.sampling.coordinates import SplitCoordinates
from skymix.sampling.modes import ModeFinder, Modes
from skymix.sampling.progress import Progress
from skymix.sampling.run import WeightedRun

SMALLEST_SIZE = 1000
SMALLEST_EFFICIENCY = 0.02
LARGEST_WEIGHT = 0.05

_PRIOR_SHARE = 0.05  # of the draws
_EVEN_SHARE = 0.02  # of the draws, spread evenly over all boxes
_LARGEST_SHARE = 0.03  # of the evidence that a box may hold before it is halved
_MOST_BOXES = 2000
_ROUNDS = 24
_FREEDOM = 6.0  # degrees of freedom of the Student distribution
_INFLATION = 1.15
_CHUNK = 16_384  # points in one likelihood call


@dataclass(frozen=True, eq=False)
class LaplaceRun(WeightedRun):
    """Importance-weighted draws.

    Parameters
    ----------
    n_draws : number of draws, those without weight included
    """

    n_draws: int

    @property
    def outcome(self) -> str:
        """What came out, for a log."""
        return (
            f"ln Z = {self.log_evidence:.3f} +- {self.log_evidence_error:.3f}, effectively"
            f" {self.effective_size:.0f} of {self.n_draws} draws, {self.seconds:.1f} s"
        )


def sample_laplace(
    problem: TabulatedMixture, draws: int, seed: int, progress: Progress | None = None
) -> LaplaceRun:
    """Evidence and weighted posterior draws of a mixture by importance sampling.

    The result is a function of the problem, the number of draws and the seed only.

    Raises
    ------
    SkymixError
        If the effective sample size is below `SMALLEST_SIZE` or `SMALLEST_EFFICIENCY` of the
        draws, if one draw has more than `LARGEST_WEIGHT` of the weight, or if the likelihood is
        zero or NaN.
    """
    run = importance_run(problem, draws, seed)
    if reason := reason_for_distrust(run):
        raise SkymixError(f"{reason}; use sampler: {{kind: nested}}")
    if progress is not None:
        progress.close(run.outcome)
    return run


def reason_for_distrust(run: LaplaceRun) -> str:
    """Why the weights of a run say that it cannot be trusted; empty if it can."""
    needed = max(SMALLEST_SIZE, SMALLEST_EFFICIENCY * run.n_draws)
    largest = float(np.exp(run.log_weight.max()))
    if run.effective_size >= needed and largest <= LARGEST_WEIGHT:
        return ""
    return (
        f"the Laplace approximation does not describe this posterior: {run.n_draws} draws are worth"
        f" {run.effective_size:.0f} (at least {needed:.0f} are needed), and one holds"
        f" {100 * largest:.2g} % of the weight (at most {100 * LARGEST_WEIGHT:g} %)"
    )


def importance_run(problem: TabulatedMixture, draws: int, seed: int) -> LaplaceRun:
    """Importance sampling as `sample_laplace` does it, whatever the weights are like."""
    started = time.monotonic()
    coordinates, space = SplitCoordinates(problem.tree), ScannedSpace.of(problem)
    finder = ModeFinder(problem, coordinates)
    proposal = _Proposal.fit(coordinates, space, finder)
    z, position, box = proposal.draw(draws, np.random.default_rng(seed))
    values = space.values(position)
    samples = np.concatenate([coordinates.fractions(z), values], axis=1)
    log_likelihood = np.concatenate(
        [problem.log_likelihood(samples[i : i + _CHUNK]) for i in range(0, draws, _CHUNK)]
    )
    log_prior = coordinates.log_prior(z) + space.log_prior(position, values)
    log_weight = log_likelihood + log_prior - proposal.log_density(z, box, log_prior)
    calls = draws + finder.calls
    return weighted_run(
        problem.names, samples, log_likelihood, log_weight, calls, time.monotonic() - started
    )


def weighted_run(
    names: tuple[str, ...],
    samples: FloatArray,
    log_likelihood: FloatArray,
    log_weight: FloatArray,
    calls: int,
    seconds: float,
) -> LaplaceRun:
    """Evidence and weights of draws from a proposal; those without weight are left out.

    Parameters
    ----------
    samples : (n, ndim) all draws
    log_likelihood, log_weight : (n,); the weight is likelihood x prior over proposal

    Raises
    ------
    SkymixError
        If a weight is NaN, or all are zero.
    """
    total = float(special.logsumexp(log_weight))
    if not np.isfinite(total):
        raise SkymixError("the likelihood is zero or not a number; check model, priors and tables")
    draws = log_weight.size
    log_evidence = total - float(np.log(draws))
    share = np.exp(log_weight - total)
    kept = share > 0
    return LaplaceRun(
        names=names,
        samples=samples[kept],
        log_likelihood=log_likelihood[kept],
        log_weight=log_weight[kept] - total,
        log_evidence=log_evidence,
        log_evidence_error=float(share.std() * np.sqrt(draws)),
        information=float(share[kept] @ log_likelihood[kept]) - log_evidence,
        n_calls=calls,
        n_draws=draws,
        seconds=seconds,
    )


@dataclass(frozen=True, eq=False)
class _Proposal:
    """Mixture of the prior and of a Student distribution in each box."""

    coordinates: SplitCoordinates
    space: ScannedSpace
    boxes: Boxes
    modes: Modes
    log_share: FloatArray  # of the draws from boxes, in each box

    @classmethod
    def fit(
        cls, coordinates: SplitCoordinates, space: ScannedSpace, finder: ModeFinder
    ) -> "_Proposal":
        boxes = space.cells()
        modes = finder.modes(space.values(boxes.centres))
        for _ in range(_ROUNDS):
            large = np.flatnonzero(_evidence_share(space, boxes, modes) > _LARGEST_SHARE)
            # A mode between two centres is nearer to one of them only until its box is halved.
            large = np.union1d(large, boxes.coarse_neighbours(large))
            halves = 2**space.ndim
            if not (space.ndim and large.size) or boxes.size + large.size * halves > _MOST_BOXES:
                break
            new = boxes.halves(large)
            start = np.repeat(modes.z[large], halves, axis=0)
            old = np.delete(np.arange(boxes.size), large)
            modes = modes.take(old).joined(finder.modes(space.values(new.centres), start))
            boxes = boxes.take(old).joined(new)
        share = _evidence_share(space, boxes, modes)
        even = np.full(boxes.size, _EVEN_SHARE / boxes.size)
        return cls(coordinates, space, boxes, modes, np.log((1 - _EVEN_SHARE) * share + even))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, IntArray]:
        """Coordinates of the splits, positions of the scanned parameters, and their box."""
        shares = np.append((1 - _PRIOR_SHARE) * np.exp(self.log_share), _PRIOR_SHARE)
        counts = rng.multinomial(n, shares / shares.sum())
        box = np.repeat(np.arange(self.boxes.size), counts[:-1])
        normal = rng.standard_normal((box.size, self.coordinates.ndim))
        student = normal / np.sqrt(rng.chisquare(_FREEDOM, (box.size, 1)) / _FREEDOM)
        scaled = _INFLATION * self.modes.deviation[box] * student
        z = self.modes.z[box] + np.einsum("nij,nj->ni", self.modes.axes[box], scaled)
        low, high = self.boxes.lower[box], self.boxes.upper[box]
        position = low + (high - low) * rng.random((box.size, self.space.ndim))
        wide, _ = self.space.prior_draws(int(counts[-1]), rng)
        return (
            np.concatenate([z, self.coordinates.prior_draws(int(counts[-1]), rng)]),
            np.concatenate([position, wide]),
            np.concatenate([box, self.boxes.locate(wide)]),
        )

    def log_density(self, z: FloatArray, box: IntArray, log_prior: FloatArray) -> FloatArray:
        """Log density of the whole mixture at draws in known boxes, -1 for none, (n,)."""
        ndim = self.coordinates.ndim
        scale = _INFLATION * self.modes.deviation[box]
        shift = np.einsum("nji,nj->ni", self.modes.axes[box], z - self.modes.z[box]) / scale
        student = (
            special.gammaln((_FREEDOM + ndim) / 2)
            - special.gammaln(_FREEDOM / 2)
            - 0.5 * ndim * np.log(_FREEDOM * np.pi)
            - np.log(scale).sum(axis=1)
            - 0.5 * (_FREEDOM + ndim) * np.log1p((shift**2).sum(axis=1) / _FREEDOM)
        )
        near = self.log_share[box] - self.boxes.log_volume[box] + student
        near = np.where(box < 0, -np.inf, near)
        return np.asarray(
            np.logaddexp(np.log(1 - _PRIOR_SHARE) + near, np.log(_PRIOR_SHARE) + log_prior)
        )


def _evidence_share(space: ScannedSpace, boxes: Boxes, modes: Modes) -> FloatArray:
    """Part of the evidence that Laplace's approximation puts in each box."""
    centres = boxes.centres
    prior = space.log_prior(centres, space.values(centres))
    log_evidence = modes.log_integral + prior + boxes.log_volume
    if not np.isfinite(log_evidence).any():
        raise SkymixError(
            "the likelihood is zero or not a number at all nodes of the scanned parameters; check"
            " model, priors and tables"
        )
    log_evidence = np.where(np.isnan(log_evidence), -np.inf, log_evidence)
    return np.asarray(np.exp(log_evidence - special.logsumexp(log_evidence)))

"""Membership probabilities and predicted counts, averaged over the posterior."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from skymix.axes import FloatArray, Grid, IntArray
from skymix.diagnostics.insertion import insertion_p_value
from skymix.mixture import LeafTable, RateMixture, TabulatedMixture
from skymix.mixture.densities import interpolated
from skymix.store.diagnostics import Diagnostics
from skymix.store.events import Events
from skymix.store.likelihood import LikelihoodTables
from skymix.store.marginals import Marginals
from skymix.store.rows import RowAxes
from skymix.store.tables import counts_in, leaf_axes

Mixture = TabulatedMixture | RateMixture

_DRAWS = 400


@dataclass(frozen=True, eq=False)
class Observed:
    """An observation of the fit.

    Parameters
    ----------
    events : its event list
    marginals : of every leaf
    space : number of its data space
    """

    events: Events
    marginals: Sequence[Marginals]
    space: int = 0


@dataclass(frozen=True, eq=False)
class Space:
    """Reconstructed space that some observations share.

    Parameters
    ----------
    grid : energies and directions; the directions are those of all spaces
    mapped : whether it resolves directions
    """

    grid: Grid
    mapped: bool = True


def predict_posterior(
    mixture: Mixture,
    tables: LikelihoodTables,
    posterior: xr.DataTree,
    observed: Iterable[Observed],
    spaces: Sequence[Space],
) -> Diagnostics:
    """Membership of every event and predicted counts of every leaf.

    Parameters
    ----------
    mixture, tables : the likelihood and what it was made from
    posterior : as read from posterior.nc
    observed : the observations, in the order of the tables; read one at a time
    spaces : data spaces of the observations
    """
    theta = _thinned_draws(posterior, mixture.names)
    membership, membership_sd = _membership(mixture, theta)
    datum = tables.event_datum
    prediction = _Prediction.none(mixture, tables, theta, spaces)
    counts = [np.zeros(space.grid.shape) for space in spaces]
    events, number_of_space = [], []
    for number, item in enumerate(observed):
        events.append(item.events)
        number_of_space.append(item.space)
        grid = spaces[item.space].grid
        cell = grid.cell(item.events.energy, item.events.lon, item.events.lat)
        counts[item.space] += np.bincount(
            cell, weights=item.events.multiplicity, minlength=counts[item.space].size
        ).reshape(grid.shape)
        prediction.add(number, item)
    sky = spaces[0].grid.sky
    ranks, n_live = insertion_ranks(posterior)
    of_each = ranks_of_runs(posterior)
    # Each run is judged alone; the worst of several is expected to be bad (Bonferroni).
    p_values = [insertion_p_value(of_one, n_live) for of_one in of_each]
    return Diagnostics(
        leaves=mixture.tree.leaves,
        observations=tables.observations,
        membership=membership[datum],
        membership_sd=membership_sd[datum],
        event_id=np.concatenate([e.event_id for e in events]),
        event_multiplicity=np.concatenate([e.multiplicity for e in events]),
        event_observation=tables.event_observation,
        event_energy=np.concatenate([e.energy for e in events]),
        event_lon=np.concatenate([e.lon for e in events]),
        event_lat=np.concatenate([e.lat for e in events]),
        observation_space=np.array(number_of_space, dtype=np.int64),
        space_cells=np.array([space.grid.energy.size for space in spaces]),
        space_mapped=np.array([space.mapped for space in spaces], dtype=np.int64),
        energy_edges=np.concatenate([space.grid.energy.edges for space in spaces]),
        lon_edges=sky.lon_edges,
        lat_edges=sky.lat_edges,
        counts_map=_mapped(counts, spaces),
        counts_spectrum=np.concatenate([c.sum(axis=(1, 2)) for c in counts]),
        predicted_map=prediction.maps,
        predicted_spectrum=prediction.spectra.mean(axis=0),
        predicted_spectrum_band=_band(prediction.spectra.sum(axis=1)),
        observed_counts=np.array([e.number for e in events], dtype=np.float64),
        predicted_counts=np.array([c.mean(axis=0) for c in prediction.counts]),
        predicted_counts_band=_band(np.array([c.sum(axis=1) for c in prediction.counts]).T),
        insertion_rank=ranks,
        insertion_p_value=min(1.0, len(p_values) * min(p_values)),
        live_points=n_live,
    )


def _mapped(counts: Sequence[FloatArray], spaces: Sequence[Space]) -> FloatArray:
    """Counts of the spaces that resolve directions, (nlat, nlon)."""
    found = np.zeros(spaces[0].grid.sky.shape)
    for of_space, space in zip(counts, spaces, strict=True):
        if space.mapped:
            found += of_space.sum(axis=0)
    return found


def insertion_ranks(posterior: xr.DataTree) -> tuple[IntArray, int]:
    """Insertion ranks and number of live points; none and zero if no nested sampler ran."""
    if "nested" not in posterior.children:
        return np.empty(0, dtype=np.int64), 0
    ranks = np.asarray(posterior["nested"]["insertion_rank"].values)
    return ranks[ranks >= 0], int(posterior.attrs["n_live"])


def ranks_of_runs(posterior: xr.DataTree) -> list[IntArray]:
    """Insertion ranks of each of the runs that a posterior was merged from; one list at least."""
    ranks, _ = insertion_ranks(posterior)
    if not ranks.size:
        return [ranks]
    known = np.asarray(posterior["nested"]["insertion_rank"].values) >= 0
    run = np.asarray(posterior["nested"]["insertion_run"].values)[known]
    return [ranks[run == k] for k in np.unique(run)]


def _thinned_draws(posterior: xr.DataTree, names: tuple[str, ...]) -> FloatArray:
    """Up to a few hundred equal-weight draws, (ndraw, ndim); they are in random order."""
    group = posterior["posterior"]
    theta = np.stack([np.ravel(np.asarray(group[name])) for name in names], axis=1)
    return np.asarray(theta[:_DRAWS])


def _membership(mixture: Mixture, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation over the draws of each leaf's probability at each datum."""
    mean = np.zeros((mixture.multiplicity.size, len(mixture.leaves)))
    square = np.zeros_like(mean)
    for n, point in enumerate(theta, start=1):
        change = mixture.responsibilities(point) - mean
        mean += change / n
        square += change * change * (n - 1) / n
    return mean, np.sqrt(square / max(len(theta) - 1, 1))


@dataclass(frozen=True, eq=False)
class _Prediction:
    """Predicted counts, summed over the observations that were added.

    Parameters
    ----------
    mixture, tables : the likelihood and its tables
    theta : (ndraw, ndim) parameters
    spaces : the data spaces
    maps : (nleaf, nlat, nlon) mean over the draws
    spectra : (ndraw, nleaf, nenergy), energies of space after space
    counts : (ndraw, nleaf) of each observation
    """

    mixture: Mixture
    tables: LikelihoodTables
    theta: FloatArray
    spaces: Sequence[Space]
    maps: FloatArray
    spectra: FloatArray
    counts: list[FloatArray]

    @classmethod
    def none(
        cls,
        mixture: Mixture,
        tables: LikelihoodTables,
        theta: FloatArray,
        spaces: Sequence[Space],
    ) -> "_Prediction":
        """Prediction of no observation."""
        energies = sum(space.grid.energy.size for space in spaces)
        leaves = len(mixture.leaves)
        maps = np.zeros((leaves, *spaces[0].grid.sky.shape))
        spectra = np.zeros((theta.shape[0], leaves, energies))
        return cls(mixture, tables, theta, spaces, maps, spectra, [])

    def add(self, number: int, observed: Observed) -> None:
        """Add the observation with this number in the tables."""
        by_name = {m.component: m for m in observed.marginals}
        counts = counts_in(self.tables, self.mixture, self.theta, number)
        self.counts.append(counts)
        start = sum(space.grid.energy.size for space in self.spaces[: observed.space])
        space = self.spaces[observed.space]
        cells = slice(start, start + space.grid.energy.size)
        for k, (leaf, (rows, weights)) in enumerate(self._leaf_rows):
            marginal = by_name[leaf.name]
            own = self._axes[k].rows_in(RowAxes.of(marginal))[rows]
            here = counts[:, k : k + 1]
            self.spectra[:, k, cells] += interpolated(marginal.counts_spectrum, own, weights) * here
            if space.mapped:
                by_row = np.zeros(marginal.counts_map.shape[0])
                np.add.at(by_row, own, weights * here / len(self.theta))
                self.maps[k] += np.einsum("r,rij->ij", by_row, marginal.counts_map)

    @cached_property
    def _axes(self) -> list[RowAxes]:
        return leaf_axes(self.tables)

    @cached_property
    def _leaf_rows(self) -> list[tuple[LeafTable, tuple[IntArray, FloatArray]]]:
        return list(zip(self.mixture.leaves, self.mixture.leaf_rows(self.theta), strict=True))


def _band(values: FloatArray) -> FloatArray:
    """16, 50 and 84 % quantiles over the draws, (3, ...) from (ndraw, ...)."""
    return np.asarray(np.quantile(values, [0.16, 0.5, 0.84], axis=0))

"""Membership probabilities and predicted counts, averaged over the posterior."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from skymix.axes import FloatArray, Grid, IntArray
from skymix.diagnostics.insertion import insertion_p_value
from skymix.mixture import TabulatedMixture
from skymix.store.diagnostics import Diagnostics
from skymix.store.events import Events
from skymix.store.likelihood import LikelihoodTables
from skymix.store.marginals import Marginals
from skymix.store.tables import interpolated

_DRAWS = 400


def predict_posterior(
    mixture: TabulatedMixture,
    tables: LikelihoodTables,
    posterior: xr.DataTree,
    marginals: Sequence[Marginals],
    events: Events,
    grid: Grid,
) -> Diagnostics:
    """Membership of every event and predicted counts of every leaf.

    Parameters
    ----------
    mixture, tables : the likelihood and what it was made from
    posterior : as read from posterior.nc
    marginals : of the leaves in the order of the tables
    events : the event list behind the tables
    grid : reconstructed energies and directions
    """
    theta = _thinned_draws(posterior, mixture.names)
    membership, membership_sd = _membership(mixture, theta)
    datum = tables.event_datum
    maps, spectra, band = _predictions(mixture, marginals, theta, events.number)
    counts = np.bincount(
        grid.cell(events.energy, events.lon, events.lat),
        weights=events.multiplicity,
        minlength=int(np.prod(grid.shape)),
    ).reshape(grid.shape)
    ranks, n_live = insertion_ranks(posterior)
    return Diagnostics(
        leaves=mixture.tree.leaves,
        observations=tables.observations,
        membership=membership[datum],
        membership_sd=membership_sd[datum],
        event_id=events.event_id,
        event_multiplicity=events.multiplicity,
        event_observation=tables.event_observation,
        event_energy=events.energy,
        event_lon=events.lon,
        event_lat=events.lat,
        energy_edges=grid.energy.edges,
        lon_edges=grid.sky.lon_edges,
        lat_edges=grid.sky.lat_edges,
        counts_map=counts.sum(axis=0),
        counts_spectrum=counts.sum(axis=(1, 2)),
        predicted_map=maps,
        predicted_spectrum=spectra,
        predicted_spectrum_band=band,
        insertion_rank=ranks,
        insertion_p_value=insertion_p_value(ranks, n_live),
        live_points=n_live,
    )


def insertion_ranks(posterior: xr.DataTree) -> tuple[IntArray, int]:
    """Insertion ranks and number of live points; none and zero if no nested sampler ran."""
    if "nested" not in posterior.children:
        return np.empty(0, dtype=np.int64), 0
    ranks = np.asarray(posterior["nested"]["insertion_rank"].values)
    return ranks[ranks >= 0], int(posterior.attrs["n_live"])


def _thinned_draws(posterior: xr.DataTree, names: tuple[str, ...]) -> FloatArray:
    """Up to a few hundred equal-weight draws, (ndraw, ndim); they are in random order."""
    group = posterior["posterior"]
    theta = np.stack([np.ravel(np.asarray(group[name])) for name in names], axis=1)
    return np.asarray(theta[:_DRAWS])


def _membership(mixture: TabulatedMixture, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation over the draws of each leaf's probability at each datum."""
    mean = np.zeros((mixture.multiplicity.size, len(mixture.leaves)))
    square = np.zeros_like(mean)
    for n, point in enumerate(theta, start=1):
        change = mixture.responsibilities(point) - mean
        mean += change / n
        square += change * change * (n - 1) / n
    return mean, np.sqrt(square / max(len(theta) - 1, 1))


def _predictions(
    mixture: TabulatedMixture, marginals: Sequence[Marginals], theta: FloatArray, events: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean counts map and spectrum of each leaf; 16, 50, 84 % quantiles of the total spectrum."""
    by_name = {m.component: m for m in marginals}
    counts = mixture.weights(theta) * events
    maps, spectra = [], []
    total = np.zeros((theta.shape[0], marginals[0].counts_spectrum.shape[1]))
    for k, (leaf, (rows, weights)) in enumerate(
        zip(mixture.leaves, mixture.leaf_rows(theta), strict=True)
    ):
        marginal = by_name[leaf.name]
        spectrum = interpolated(marginal.counts_spectrum, rows, weights) * counts[:, k : k + 1]
        total = total + spectrum
        spectra.append(spectrum.mean(axis=0))
        by_row = np.zeros(marginal.counts_map.shape[0])
        np.add.at(by_row, rows, weights * counts[:, k : k + 1] / len(theta))
        maps.append(np.einsum("r,rij->ij", by_row, marginal.counts_map))
    band = np.quantile(total, [0.16, 0.5, 0.84], axis=0)
    return np.array(maps), np.array(spectra), band

"""The PSF at events' own coordinates against plain sums and against fine quadratures."""

from dataclasses import replace

import numpy as np
import pytest
from tests.synthetic import OFFSETS, gaussian_psf, small_exposure

from skymix.axes import Grid, SkyGrid, separation
from skymix.domains.gamma.dispersion import edge_steps, event_steps
from skymix.domains.gamma.psf_events import (
    LANES,
    EventMaps,
    EventResponse,
    EventSky,
    SmoothPSF,
    maps_to_events,
)
from skymix.domains.gamma.psf_table import pixel_rules

RAW = 3


def king(rad, sigma, gamma=2.0):
    return (1 + rad**2 / (2 * gamma * sigma**2)) ** -gamma / np.radians(sigma) ** 2


def exposure_of(profile=None, width=1.0, aspect=1.0, scale=1.0):
    """A small exposure with 0.1 deg pixels; widths of the PSF about 0.05 to 0.12 deg x scale."""
    exposure = small_exposure(width=width, margin=0.4)
    edges = exposure.true.sky.lon_edges
    sky = SkyGrid(aspect * edges, edges)
    response = exposure.response
    sigma = scale * 0.08 * exposure.true.energy.centres**-0.3 * (1 + 0.2 * OFFSETS[:, None])
    profile = profile or gaussian_psf
    psf = profile(response.rad[:, None], sigma[:, None, :])
    response = replace(response, psf=np.ascontiguousarray(psf))
    return replace(exposure, response=response, true=Grid(exposure.true.energy, sky))


def response_of(exposure, reach):
    """What the kernel needs of a response whose pixels are visited out to a reach (deg)."""
    starts = np.arange(0, exposure.true.energy.size, LANES)
    scales = np.radians(exposure.psf.scales)
    narrowest = np.minimum.reduceat(np.minimum(scales[1:], scales[:-1]), starts, axis=1)
    energies = exposure.true.energy.size
    reach = np.radians(np.broadcast_to(reach, (len(narrowest), energies)).copy())
    return EventResponse.of(
        SmoothPSF.of(exposure.psf, exposure.true.sky, reach),
        np.radians(exposure.response.offset),
        narrowest,
        reach,
        exposure.response.edisp,
        np.diff(np.log(exposure.true.energy.edges)),
        edge_steps(exposure.response),
    )


def call(exposure, response, maps, windows, lon, lat, energy):
    """The kernel at some events."""
    return maps_to_events(
        response,
        EventSky(exposure.true.sky, *exposure.map_nodes),
        EventMaps.of(maps),
        energy,
        np.radians(lon),
        np.radians(lat),
        np.radians(exposure.offset(lon, lat)),
        windows,
        np.tile([0, exposure.true.energy.size], (lon.size, 1)),
        event_steps(exposure.response, energy),
    )


def some_events(n=8):
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(-0.6, 0.6, (2, n))
    return lon, lat, np.exp(rng.uniform(0, 2, n))


def some_maps(exposure, n):
    """Smooth and rough maps, one of them dark in places."""
    rng = np.random.default_rng(4)
    shape = (*exposure.true.sky.shape, exposure.true.energy.size)
    maps = [rng.uniform(0, 1, shape) ** 3 for _ in range(n)]
    maps[-1][:, :5] = 0
    return maps


def share_of_energy(exposure, energy):
    """Density of each event's energy, (nevent, noffset, ntrue) TeV-1."""
    widths = np.diff(np.log(exposure.true.energy.edges))
    place = np.subtract.outer(event_steps(exposure.response, energy), edge_steps(exposure.response))
    nodes = np.arange(exposure.response.edisp.shape[2])
    return np.array(
        [
            [
                [
                    np.interp(at[e], nodes, row[e]) - np.interp(at[e + 1], nodes, row[e])
                    for e in range(len(row))
                ]
                for row in exposure.response.edisp
            ]
            for at in place
        ]
    ).clip(0) / (energy[:, None, None] * widths)


def look_up(table, distance, rad_max):
    """Table (noffset, nrad, nenergy) at distances in deg, linear in their root; zero beyond."""
    nrad = table.shape[1]
    place = np.sqrt(distance / rad_max) * (nrad - 1)
    row = np.minimum(place.astype(int), nrad - 2)
    x = np.where(place < nrad - 1, place - row, 0.0)[:, None]
    value = (1 - x) * table[:, row] + x * table[:, row + 1]
    return value * (place < nrad - 1)[:, None]


def blocks(table, ntrue):
    """A table (nblock, noffset, nrad, LANES) as (noffset, nrad, ntrue)."""
    table = table.transpose(1, 2, 0, 3)
    return table.reshape(*table.shape[:2], -1)[..., :ntrue]


def quadrature(exposure, cell, lon, lat, level):
    """Mean of the PSF over a true pixel by one of the rules, (noffset, nenergy)."""
    sky, (nodes, weights, sizes) = exposure.true.sky, pixel_rules()[0]
    x, w = nodes[level, : sizes[level]], weights[level, : sizes[level]]
    sides = np.diff(sky.lon_edges)[0], np.diff(sky.lat_edges)[0]
    dy, dx = np.meshgrid(sides[1] * x, sides[0] * x, indexing="ij")
    distance = separation(
        (sky.lon[cell[1]] + dx).ravel(), (sky.lat[cell[0]] + dy).ravel(), lon, lat
    )
    psf = look_up(exposure.psf.values, distance, exposure.psf.rad_max)
    return np.einsum("p,kpe->ke", np.outer(w, w).ravel(), psf)


def bearing(lon, lat, to_lon, to_lat):
    """Angle from north to the direction of a great circle, rad."""
    a, b, d = np.radians([lat, to_lat, to_lon - lon])
    north = np.cos(a) * np.sin(b) - np.sin(a) * np.cos(b) * np.cos(d)
    return np.arctan2(np.cos(b) * np.sin(d), north)


def mean_by_terms(exposure, response, cell, lon, lat, level):
    """Mean of the PSF over a true pixel, and the terms beside it, (noffset, nenergy)."""
    sky, psf, ntrue = exposure.true.sky, response.psf, exposure.true.energy.size
    at = sky.lon[cell[1]], sky.lat[cell[0]]
    distance = np.atleast_1d(separation(*at, lon, lat))
    phi = np.pi / 2 - bearing(*at, lon, lat)
    size, shape = psf.excess[:, cell[0]]
    factors = [1.0, np.cos(4 * phi), shape * np.cos(2 * phi), np.cos(8 * phi), size]
    tables = [blocks(t, ntrue) for t in (psf.means, *psf.harmonics)]
    values = [look_up(t, distance, exposure.psf.rad_max)[:, 0] for t in tables]
    count = (1, 2, 5)[level]
    return sum(f * v for f, v in zip(factors[:count], values[:count], strict=True))


def plain_sums(exposure, response, maps, windows, lon, lat, energy):
    """What `maps_to_events` documents, pixel by pixel."""
    sky, least, ntrue = exposure.true.sky, response.psf.least, exposure.true.energy.size
    width = np.hypot(np.diff(sky.lon_edges)[0], np.diff(sky.lat_edges)[0]) / np.sqrt(2)
    _, limits = pixel_rules()
    block = np.arange(ntrue) // LANES
    nodes, fractions = exposure.map_nodes
    shares = share_of_energy(exposure, energy)
    out = np.zeros((len(maps), lon.size, ntrue))
    for n in range(lon.size):
        visited = np.unique(np.concatenate([block[slice(*w)] for w in windows[:, n]]))
        for cell in np.ndindex(*sky.shape) if visited.size else ():
            k, f = nodes[cell], fractions[cell]
            distance = separation(sky.lon[cell[1]], sky.lat[cell[0]], lon[n], lat[n])
            lowest = np.maximum(np.unique(block) * LANES, windows[:, n, 0].min())
            seen = np.radians(distance) <= response.reach[k, np.minimum(lowest, ntrue - 1)]
            place = np.sqrt(distance / exposure.psf.rad_max) * (exposure.psf.values.shape[1] - 1)
            bin_ = min(int(place), exposure.psf.values.shape[1] - 1) // 8
            level = least[k, visited, bin_].max()
            if level == RAW:
                scale = np.degrees(response.scale[k].min())
                ratio = width / max(scale, 0.4 * (distance - width))
                rule = int(np.argmax(ratio <= limits))
                mean = quadrature(exposure, cell, lon[n], lat[n], rule)
            else:
                mean = mean_by_terms(exposure, response, cell, lon[n], lat[n], level)
            # Far out, what the terms leave out may be more than the mean.
            at = np.maximum((1 - f) * mean[k] + f * mean[k + 1], 0) * seen[block]
            shared = (1 - f) * shares[n, k] + f * shares[n, k + 1]
            for c, one in enumerate(maps):
                out[c, n] += one[cell] * at * shared
        for c in range(len(maps)):
            first, last = windows[c, n]
            out[c, n, :first] = out[c, n, last:] = 0
    return out


@pytest.mark.parametrize(("scale", "nmap"), [(1.0, 2), (0.2, 9)])
def test_sums_are_those_of_the_plain_loop(scale, nmap) -> None:
    exposure = exposure_of(scale=scale)
    lon, lat, energy = some_events(4)
    maps, ntrue = some_maps(exposure, nmap), exposure.true.energy.size
    windows = np.tile([0, ntrue], (nmap, lon.size, 1))
    windows[0, 1] = 3, ntrue - 2
    windows[:, 2] = 0
    windows[:, 3] = 5, ntrue
    # Pixels all within reach, and cut off at a distance that depends on energy and offset.
    falling = np.linspace(0.3, 0.1, ntrue)
    for reach in (5.0, [falling, 1.2 * falling[::-1]]):
        response = response_of(exposure, reach)
        found = call(exposure, response, maps, windows, lon, lat, energy)
        expected = plain_sums(exposure, response, maps, windows, lon, lat, energy)
        assert expected.any()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14 * expected.max())


def test_events_at_the_pointing_see_it_where_the_first_node_is_off_axis() -> None:
    exposure = exposure_of()
    offset = exposure.response.offset + 0.5
    exposure = replace(exposure, response=replace(exposure.response, offset=offset))
    lon, lat = (np.array([x + 0.03, x + 0.2]) for x in exposure.pointing)
    maps, energy = some_maps(exposure, 2), np.array([2.0, 3.0])
    windows = np.tile([0, exposure.true.energy.size], (len(maps), lon.size, 1))
    response = response_of(exposure, 0.25)
    found = call(exposure, response, maps, windows, lon, lat, energy)
    expected = plain_sums(exposure, response, maps, windows, lon, lat, energy)
    assert expected.any(axis=2).all()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14 * expected.max())


def fine_sums(exposure, maps, lon, lat, energy, sub):
    """Sums with every pixel cut into sub x sub."""
    fine = exposure.true.sky.split(sub)
    fine_lon, fine_lat = (a.ravel() for a in fine.mesh())
    nlat, nlon = exposure.true.sky.shape
    node, fraction = exposure.map_nodes
    shares = share_of_energy(exposure, energy)
    out = np.zeros((len(maps), lon.size, exposure.true.energy.size))
    for n in range(lon.size):
        distance = separation(fine_lon, fine_lat, lon[n], lat[n])
        psf = look_up(exposure.psf.values, distance, exposure.psf.rad_max)
        psf = psf.reshape(len(psf), nlat, sub, nlon, sub, -1).mean(axis=(2, 4))
        weight = np.stack([(node == k) * (1 - fraction) + (node + 1 == k) * fraction
                           for k in range(len(psf))])  # fmt: skip
        at = np.einsum("kij,kije->ije", weight, psf)
        shared = np.einsum("kij,ke->ije", weight, shares[n])
        for c, one in enumerate(maps):
            out[c, n] = (one * at * shared).sum(axis=(0, 1))
    return out


@pytest.mark.parametrize("profile", [gaussian_psf, king])
@pytest.mark.parametrize(("scale", "error"), [(0.7, 1.5e-3), (1.5, 3e-4)])
@pytest.mark.parametrize("aspect", [1.0, 1.1])
def test_means_over_pixels_are_those_of_fine_quadratures(profile, scale, error, aspect) -> None:
    exposure = exposure_of(profile, scale=scale, aspect=aspect)
    lon, lat, energy = some_events(4)
    maps = some_maps(exposure, 2)
    windows = np.tile([0, exposure.true.energy.size], (len(maps), lon.size, 1))
    response = response_of(exposure, 5.0)
    assert {0, 1} <= set(np.unique(response.psf.least))
    found = call(exposure, response, maps, windows, lon, lat, energy)
    expected = fine_sums(exposure, maps, lon, lat, energy, 20)
    found, expected = found.sum(axis=2), expected.sum(axis=2)
    # The finest points here are 0.005 deg apart, which shows where the PSF is narrow.
    np.testing.assert_allclose(found, expected, rtol=error, atol=error * expected.max())


def test_mean_over_a_pixel_may_be_that_of_a_table() -> None:
    """Where the kernel looks means up, they agree with the finest rule on the PSF itself."""
    exposure = exposure_of()
    lon, lat, energy = some_events()
    maps = some_maps(exposure, 2)
    windows = np.tile([0, exposure.true.energy.size], (len(maps), lon.size, 1))
    response = response_of(exposure, 5.0)
    raw = replace(response.psf, least=np.full_like(response.psf.least, RAW))
    found, exact = (
        call(exposure, r, maps, windows, lon, lat, energy)
        for r in (response, replace(response, psf=raw))
    )
    assert not np.array_equal(found, exact)
    np.testing.assert_allclose(found.sum(axis=2), exact.sum(axis=2), rtol=1.5e-4)


def test_tables_hold_the_psf_and_its_means() -> None:
    exposure = exposure_of()
    psf = SmoothPSF.of(exposure.psf, exposure.true.sky, np.ones((1, exposure.true.energy.size)))
    ntrue, side = exposure.true.energy.size, np.degrees(psf.side)
    values = exposure.psf.values
    np.testing.assert_array_equal(blocks(psf.raw, ntrue), np.where(values < 1e-250, 0, values))
    for table in (psf.raw, psf.means, *psf.harmonics):
        assert not table.transpose(1, 2, 0, 3).reshape(*table.shape[1:3], -1)[..., ntrue:].any()
    peak = values.max(axis=1)
    wide = exposure.psf.scales > side / 3
    x = (np.arange(60) + 0.5) / 60 - 0.5
    excess = 0.01
    radii = 0, 100, 200, 300, 450
    assert all(blocks(t, ntrue)[:, radii].any() for t in (psf.means, *psf.harmonics))
    for r in radii:
        radius = exposure.response.rad[r]
        # By the angle, and then the area, of the square, its excess in shape and in size.
        means = {}
        for size, shape in ((0, 0), (0, excess), (excess, 0), (-excess, 0)):
            sides = side * np.sqrt([1 + size + shape, 1 + size - shape])
            phi = (np.arange(16) + 0.5) * np.pi / 32
            at = (
                radius * np.exp(1j * phi)[:, None, None] + sides[0] * x[:, None] + sides[1] * 1j * x
            )
            found = look_up(values, np.abs(at).ravel(), exposure.psf.rad_max)
            means[size, shape] = found.reshape(len(found), phi.size, -1, ntrue).mean(axis=2)
        square, longer, larger, smaller = means.values()
        expected = [
            square.mean(axis=1),
            2 * np.einsum("p,kpe->ke", np.cos(4 * phi) / phi.size, square),
            2 * np.einsum("p,kpe->ke", np.cos(2 * phi) / phi.size, longer) / excess,
            2 * np.einsum("p,kpe->ke", np.cos(8 * phi) / phi.size, square),
            (larger - smaller).mean(axis=1) / (2 * excess),
        ]
        for table, one in zip((psf.means, *psf.harmonics), expected, strict=True):
            made = blocks(table, ntrue)[:, r]
            # Means that no pixel needs are not made, nor harmonics far away.
            made = np.where(made == 0, one, made)
            np.testing.assert_allclose((made / peak)[wide], (one / peak)[wide], atol=1e-4)

"""Memory of gathering: the peak of a process at 10 and at 100 observations."""

import multiprocessing
import resource
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from skymix.store import Events, Marginals, Provenance, write_product
from skymix.store.gather import Model, Observed, ObservedData, gather_tables

ROWS, EVENTS = 40, 20_000
NOTHING = Provenance({})
TREE = {"children": {"source": None, "background": None}}


def marginals(observation: str, component: str, rows: int, rng: np.random.Generator) -> Marginals:
    """Marginals of random densities."""
    scanned = rows > 1
    return Marginals(
        parameters=("x",) if scanned else (),
        spacings=("linear",) if scanned else (),
        units=("",) if scanned else (),
        nodes=np.array([rows] if scanned else [], dtype=np.int64),
        node_values=np.arange(rows, dtype=np.float64) if scanned else np.empty(0),
        density=rng.random((rows, EVENTS)),
        multiplicity=np.ones(EVENTS),
        expected_counts=np.full(rows, float(EVENTS)),
        counts_map=np.ones((rows, 1, 1)),
        counts_spectrum=np.ones((rows, 1)),
        truncation=np.zeros(EVENTS),
        binning_error=0.0,
        interpolation_error=0.0,
        observation=observation,
        component=component,
    )


def recorded() -> Events:
    """An event file without events: what gathering reads of it says that it was recorded."""
    none, whole = np.empty(0), np.empty(0, dtype=np.int64)
    columns = {name: none for name in ("energy", "lon", "lat")}
    truth = {name: none for name in ("true_energy", "true_lon", "true_lat", "expected_counts")}
    numbers = {name: whole for name in ("event_id", "multiplicity", "true_component")}
    texts = {"observation": "run", "cuts": "{}", "truth": "{}"}
    pointing = {name: 0.0 for name in ("pointing_lon", "pointing_lat", "livetime", "ontime")}
    return Events(**columns, **truth, **numbers, **texts, **pointing, components=())


def gather(folder: Path, count: int, peak: "multiprocessing.Queue[float]") -> None:
    """Gather observations that share their files, and tell the peak of the memory in MiB."""
    data = ObservedData(np.arange(EVENTS), np.ones(EVENTS))
    files = folder / "source.h5", folder / "background.h5"
    observed = [Observed("run", folder / "events.h5", files, lambda: data) for _ in range(count)]
    priors = {"x": {"kind": "uniform", "lower": 0.0, "upper": ROWS - 1.0}}
    model = Model(TREE, priors, "fractions", {}, [[False, False]] * count)
    gather_tables(folder / "likelihood.h5", observed, model, NOTHING)
    peak.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def run() -> Iterator[tuple[str, float, str]]:
    """Figures of the gather step."""
    context = multiprocessing.get_context("spawn")
    peaks = {}
    with TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        for component, rows in (("source", ROWS), ("background", 1)):
            made = marginals("run", component, rows, rng)
            write_product(folder / f"{component}.h5", made, NOTHING)
        write_product(folder / "events.h5", recorded(), NOTHING)
        for count in (10, 100):
            queue: multiprocessing.Queue[float] = context.Queue()
            process = context.Process(target=gather, args=(folder, count, queue))
            process.start()
            peaks[count] = queue.get()
            process.join()
            yield f"peak at {count} observations", peaks[count], "MiB"
    yield "ratio", peaks[100] / peaks[10], ""
    yield "table at 100 observations", 100 * (ROWS + 1) * EVENTS * 8 / 2**20, "MiB"

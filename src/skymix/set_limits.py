"""Upper limits on a component of dark matter, in the data and in simulations without it."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skymix.axes import FloatArray, IntArray
from skymix.errors import DataError, StudyError
from skymix.mixture import RateMixture
from skymix.pipeline import parameter_priors
from skymix.store import (
    Events,
    LikelihoodTables,
    Marginals,
    Provenance,
    Response,
    file_sha256,
    read_product,
    read_provenance,
    write_product,
)
from skymix.store.gather import Model, Observed, ObservedData, gather_tables
from skymix.store.limits import Limits
from skymix.store.lineage import require_settings
from skymix.store.tables import counts_in, leaf_tables, mixture_of
from skymix.study import Study
from skymix.study.limits import (
    largest_factor,
    limited_amplitude,
    limited_components,
    mass_name,
    searched,
)
from skymix.study.load import data_folder
from skymix.study.rates import rate_settings
from skymix.study.stages import response_key, stage_settings, stream_seed

if TYPE_CHECKING:
    from skymix.sampling.limits import UpperLimits

_DATA_DRAWS = 5  # times as many for the data as for a simulation
_NOTHING = Provenance({}, {})  # of files that are read once and deleted


@dataclass(frozen=True, eq=False)
class Counting:
    """Counts of a fit in all cells, for one channel, and the likelihood of any such counts.

    Parameters
    ----------
    tables : densities at all cells; their multiplicity is what was observed
    sizes : of the cells of each observation, (ncell,) TeV sr, by its name
    precision, threads : of the likelihood
    """

    tables: LikelihoodTables
    sizes: dict[str, FloatArray]
    precision: str
    threads: int

    def observed(self) -> RateMixture:
        """Likelihood of the data."""
        return self._mixture(self.tables)

    def of(self, counts: Sequence[FloatArray]) -> RateMixture:
        """Likelihood of counts in the cells of each observation, (ncell,), in the tables' order."""
        multiplicity = np.zeros(self.tables.multiplicity.size)
        for o, here in enumerate(counts):
            np.add.at(multiplicity, self._columns(o), here)
        events = np.array([here.sum() for here in counts], dtype=np.float64)
        return self._mixture(replace(self.tables, multiplicity=multiplicity, events=events))

    def expected(self, theta: FloatArray) -> list[FloatArray]:
        """Expected counts in the cells of each observation, (ncell,), at parameters (ndim,)."""
        mixture = self.observed()
        density = [
            weights[0] @ leaf.density[rows[0]]
            for leaf, (rows, weights) in zip(
                leaf_tables(self.tables), mixture.leaf_rows(theta[None]), strict=True
            )
        ]
        found = []
        for o, name in enumerate(self.tables.observations):
            counts = counts_in(self.tables, mixture, theta[None], o)[0]
            mixed = np.zeros(self.sizes[name].size)
            for number, p in zip(counts, density, strict=True):
                mixed += number * p[self._columns(o)]
            found.append(mixed * self.sizes[name])
        return found

    def _mixture(self, tables: LikelihoodTables) -> RateMixture:
        """Likelihood of the cells that hold events: the others add nothing to the sum."""
        held = tables.multiplicity > 0
        occupied = replace(
            tables,
            density=tables.density[:, held],
            multiplicity=tables.multiplicity[held],
            datum_dataset=tables.datum_dataset[held],
        )
        mixture = mixture_of(occupied, self.precision, self.threads)
        assert isinstance(mixture, RateMixture)
        return mixture

    def _columns(self, observation: int) -> IntArray:
        return np.asarray(self.tables.event_datum[self.tables.event_observation == observation])


def set_limits(
    study: Study,
    fit: str,
    channel: str,
    events: Path,
    responses: Path,
    numbers: Sequence[int],
    output: Path,
) -> Limits:
    """Limits of a channel at all masses, in the data and in simulations, and write them.

    Simulated counts are drawn cell by cell from what a fit of the data without the component
    expects. The same number makes the same random stream in every channel.

    Parameters
    ----------
    study : with a section `limits`
    fit : name of the fit
    channel : one of those that the limits are for
    events, responses : folders of the events and of the response tables
    numbers : of the simulations
    output : file to write

    Raises
    ------
    StudyError
        If the study sets no limits, or none in this channel.
    SkymixError
        If there is no limit at a mass.
    """
    settings = study.limits
    if settings is None:
        raise StudyError("limits: are not set in this study; add a section 'limits' to it")
    if channel not in settings.searches():
        raise StudyError(
            f"limits.channels: has no '{channel}'; channels are {', '.join(settings.searches())}"
        )
    counting = count_cells(searched(study, channel), fit, events, responses, output.parent)
    search = Search.of(study, counting.observed())
    draws, seed = _DATA_DRAWS * settings.draws, stream_seed(study, "limits", fit)
    data = search.limits(counting.observed(), draws, seed)
    expected = counting.expected(data.null.theta)
    simulated = []
    for number in numbers:
        seed = stream_seed(study, "limits", f"{fit}/{number}")
        rng = np.random.default_rng(seed)
        counts = [rng.poisson(mean).astype(np.float64) for mean in expected]
        simulated.append(search.limits(counting.of(counts), settings.draws, seed))
    quantity, value, unit = limited_amplitude(study)
    limits = Limits(
        fit=fit,
        component=settings.component,
        quantity=quantity,
        amplitude=value,
        unit=unit,
        level=settings.level,
        largest=search.largest,
        channels=(channel,),
        mass=search.masses,
        realisation=np.array(list(numbers), dtype=np.int64),
        limit=data.limit[None],
        log_evidence=data.log_evidence[None],
        log_evidence_error=data.log_evidence_error[None],
        null_log_evidence=np.array([data.null.log_evidence]),
        null_log_evidence_error=np.array([data.null.log_evidence_error]),
        expected=np.array([[s.limit for s in simulated]]),
        expected_log_bayes=np.array([[s.log_bayes for s in simulated]]),
    )
    inputs = {f"events/{name}.h5": file_sha256(events / f"{name}.h5") for name in counting.sizes}
    write_product(output, limits, Provenance(stage_settings(study, "limits"), inputs))
    return limits


@dataclass(frozen=True, eq=False)
class Search:
    """What limits are set on, and how.

    Parameters
    ----------
    amplitude, mass : names of the two parameters
    masses : (nmass,) TeV
    largest : end of the flat prior of the amplitude
    level : credibility
    """

    amplitude: str
    mass: str
    masses: FloatArray
    largest: float
    level: float

    @classmethod
    def of(cls, study: Study, mixture: RateMixture) -> "Search":
        """Search that a study wants."""
        assert study.limits is not None
        mass = mass_name(next(iter(limited_components(study).values())), study.limits)
        axes = (axis for leaf in mixture.leaves for axis in leaf.axes)
        return cls(
            f"amplitude.{study.limits.component}",
            mass,
            next(axis.nodes for axis in axes if axis.name == mass),
            largest_factor(study),
            study.limits.level,
        )

    def limits(self, problem: RateMixture, draws: int, seed: int) -> "UpperLimits":
        """Limits at all masses."""
        from skymix.sampling.limits import upper_limits

        return upper_limits(
            problem,
            self.amplitude,
            self.largest,
            self.mass,
            self.masses,
            self.level,
            draws,
            seed,
        )


def count_cells(survey: Study, fit: str, events: Path, responses: Path, scratch: Path) -> Counting:
    """Marginalise all components at all cells of a fit's observations.

    Parameters
    ----------
    survey : as `skymix.study.limits.searched` makes it
    fit : name of the fit
    events, responses : folders of the events and of the response tables
    scratch : folder for files that do not stay
    """
    names, leaves = survey.fitted()[fit], survey.tree.leaves()
    rates = rate_settings(survey, names)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as made:
        folder = Path(made)
        counted = [_count(survey, name, events, responses, folder, rates) for name in names]
        model = Model(
            survey.tree.model_dump(mode="json"),
            parameter_priors(survey),
            survey.likelihood.kind,
            rates,
            [[False] * len(leaves) for _ in names],
        )
        gather_tables(folder / "likelihood.h5", [o for o, _ in counted], model, _NOTHING)
        tables = read_product(folder / "likelihood.h5", LikelihoodTables)
    sizes = {observed.name: size for observed, size in counted}
    return Counting(tables, sizes, survey.likelihood.precision, survey.likelihood.threads)


def _count(
    survey: Study,
    name: str,
    events: Path,
    responses: Path,
    folder: Path,
    rates: Mapping[str, Any],
) -> tuple[Observed, FloatArray]:
    """An observation's cells to be gathered, and their sizes; its marginals go to a folder."""
    from skymix.domains.gamma.cells import every_cell
    from skymix.domains.gamma.observe import marginalise_components

    leaves = survey.tree.leaves()
    source, key = events / f"{name}.h5", response_key(survey, name)
    made_with = stage_settings(survey, "events", observation=name)
    # Events may have been simulated with another spectrum than the one that is searched for.
    made_with.pop("components", None)
    require_settings(source, made_with)
    response = responses / f"{key}.h5"
    require_settings(response, stage_settings(survey, "response", observation=name))
    cells, size = every_cell(survey, read_product(source, Events))
    found = marginalise_components(
        survey, name, leaves, cells, read_product(response, Response), data_folder(survey)
    )
    marginals = {m.component: m for m in found}
    # A cell in which nothing is ever expected has no density to be normalised.
    used = np.any([m.density.max(axis=0) > 0 for m in marginals.values()], axis=0)
    used |= cells.multiplicity > 0
    files = tuple(folder / name / f"{leaf}.h5" for leaf in leaves)
    for leaf, path in zip(leaves, files, strict=True):
        write_product(path, _at(marginals.pop(leaf), used), _NOTHING)
    write_product(folder / f"{name}.h5", cells, _NOTHING)
    counts = cells.multiplicity[used].astype(np.float64)
    data = ObservedData(np.arange(counts.size), counts, cells.event_id[used])
    factors = [f["name"] for f in rates["nuisances"] if name in f["observations"]]
    scaled = survey.energy_scale(name)
    scale = scaled[0] if scaled else ""
    alike = (key, cells.pointing_lon, cells.pointing_lat, factors, survey.grids_of(name), scale)
    return Observed(name, folder / f"{name}.h5", files, lambda: data, alike, scale), size[used]


def _at(marginals: Marginals, data: NDArray[np.bool_]) -> Marginals:
    """Marginals at some of the data."""
    return replace(
        marginals,
        density=marginals.density[:, data],
        multiplicity=marginals.multiplicity[data],
        truncation=marginals.truncation[data],
    )


def gather_limits(study: Study, fit: str, parts: Sequence[Path], output: Path) -> str:
    """Join the limits of all channels and simulations, write product, figure and table.

    Returns
    -------
    a summary as text
    """
    from skymix.diagnostics.limits import joined
    from skymix.report.limits import write_limits

    settings = stage_settings(study, "limits")
    for path in parts:
        require_settings(path, settings)
    limits = joined([read_product(path, Limits) for path in parts])
    if limits.fit != fit:
        raise DataError(f"{parts[0]}: is of the fit '{limits.fit}', not of '{fit}'")
    summary = write_limits(limits, output.parent)
    # The events, which the report compares with those that it shows. Not the limits themselves are
    # compared: other processors round otherwise, and draw other limits within their errors.
    inputs = dict(read_provenance(parts[0])["inputs"])
    if other := [path for path in parts if read_provenance(path)["inputs"] != inputs]:
        raise DataError(
            f"{other[0]}: is of other events than {parts[0]}; delete both and run again"
        )
    inputs |= {str(Path(*path.parts[-3:])): file_sha256(path) for path in parts}
    write_product(output, limits, Provenance(settings, inputs))
    return summary

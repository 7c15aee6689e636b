"""How the workflow shares out its jobs: small observations together, big ones in chunks."""

import gzip
import hashlib
import math
from io import BufferedIOBase
from pathlib import Path

from skymix.errors import DataError
from skymix.study.files import event_files
from skymix.study.model import Study
from skymix.study.observation import SimulatedEvents

MANY_OBSERVATIONS = 100
"""Up to so many observations of a fit each one is a job, unless the study says otherwise."""
BUNDLE = 25
"""Observations of a bundle, about, where there are many."""


def chunks(study: Study, observation: str) -> int:
    """Number of jobs that marginalise a component over an observation.

    More than one only for unbinned events. Counted before the selection; where a simulation takes
    its counts from the model nobody knows them yet, and one job has it all.
    """
    if study.marginalisation.events == "binned":
        return 1
    return max(1, math.ceil(_expected_events(study, observation) / study.jobs.events))


def _expected_events(study: Study, observation: str) -> float:
    events = study.observations[observation].events
    if isinstance(events, SimulatedEvents):
        known = [events.counts.get(name, "model") for name in study.components]
        return sum(number for number in known if number != "model")
    paths = event_files(study, observation)
    return sum(recorded_events(path) for path in paths if path.exists())


def recorded_events(path: Path) -> int:
    """Number of rows of the EVENTS table of a FITS file, from its headers alone.

    Raises
    ------
    DataError
        If the file is not FITS or has no such table.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            while cards := _header(file):
                if cards.get("EXTNAME") == "EVENTS":
                    return int(cards["NAXIS2"])
                file.seek(_data_bytes(cards), 1)
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a whole FITS file ({error}); copy it again") from None
    raise DataError(f"{path}: has no EVENTS table; give a DL3 event file")


def _header(file: BufferedIOBase) -> dict[str, str]:
    """Keywords of the next header of a FITS file (blocks of 36 cards of 80 bytes)."""
    cards: dict[str, str] = {}
    while block := file.read(2880):
        for start in range(0, 2880, 80):
            card = block[start : start + 80].decode("ascii")
            if card.startswith("END "):
                return cards
            key, mark, value = card[:8].strip(), card[8:10], card[10:]
            if mark == "= ":
                cards[key] = value.split("/")[0].strip().strip("'").strip()
    return {}


def _data_bytes(cards: dict[str, str]) -> int:
    """Size of the data after a header, in whole blocks (FITS standard 4.0, equation 2)."""
    axes = [int(cards[f"NAXIS{k + 1}"]) for k in range(int(cards["NAXIS"]))]
    size = abs(int(cards["BITPIX"])) // 8 * int(cards.get("GCOUNT", 1))
    size *= int(cards.get("PCOUNT", 0)) + math.prod(axes) if axes else 0
    return math.ceil(size / 2880) * 2880


def bundles(study: Study) -> dict[str, list[str]]:
    """Observations that share a job, by the name of the first; those that have one alone left out.

    Where a bundle ends is decided by the names beside its end, and not by how many come before:
    an observation more or less changes the bundle that it is in, at most the next, and no other.
    """
    size = study.jobs.observations
    if size is None:
        together = max(len(names) for names in study.fitted().values())
        size = BUNDLE if together > MANY_OBSERVATIONS else 1
    if size == 1:
        return {}
    found: list[list[str]] = [[]]
    for name in sorted(study.observations):
        if chunks(study, name) > 1:
            continue
        length = len(found[-1])
        if length >= 2 * size or (length >= size / 2 and _ends_before(name, size)):
            found.append([])
        found[-1].append(name)
    return {names[0]: names for names in found if names}


def _ends_before(name: str, size: int) -> bool:
    """Whether a bundle of `size` / 2 or more ends before this name; on average it has `size`."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") % (size // 2 + 1) == 0

"""What every study says of itself, whatever it analyses."""

from pathlib import Path

from pydantic import Field

from skymix.study.likelihood import Name
from skymix.study.quantities import Section, Seed


class Analysis(Section):
    """Name, seed and data folder of a study."""

    name: Name = Field(description="Name of the study; its results go to results/<name>.")
    description: str = Field(default="", description="One sentence for the report.")
    seed: Seed = Field(default=0, description="Seed that all random streams are derived from.")
    data: Path | None = Field(
        default=None,
        description=(
            "Folder of data files; if absent $SKYMIX_DATA, else ../shared/data if it exists,"
            " else data/."
        ),
    )

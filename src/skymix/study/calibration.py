"""Settings of a calibration: surveys simulated from the prior and fitted again."""

from pydantic import Field, PositiveInt

from skymix.study.quantities import Section


class Calibration(Section):
    """How many surveys the target `calibration` of the workflow simulates and fits."""

    realisations: PositiveInt = Field(default=100, description="Number of simulated surveys.")
    per_job: PositiveInt = Field(default=10, description="Surveys that one job makes.")

    def jobs(self) -> dict[str, tuple[int, int]]:
        """First survey and the one after the last of each job, by the name of its product."""
        starts = range(0, self.realisations, self.per_job)
        parts = [(a, min(a + self.per_job, self.realisations)) for a in starts]
        return {f"{first}-{stop - 1}": (first, stop) for first, stop in parts}

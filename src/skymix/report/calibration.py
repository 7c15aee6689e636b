"""Figure, table and summary of a calibration."""

from pathlib import Path

from astropy.table import Column, Table

from skymix.axes import FloatArray
from skymix.report.figures.calibration import calibration_ranks_figure
from skymix.report.rounding import round_number
from skymix.report.style import journal_style, save_picture
from skymix.report.tables import write_table
from skymix.store.calibration import Calibration

SMALLEST_P_VALUE = 0.01


def write_calibration(
    calibration: Calibration, p_values: FloatArray, p_value: float, folder: Path
) -> str:
    """Write the figure and the table of the ranks below `folder`; a summary as text.

    Parameters
    ----------
    calibration : ranks of the truths
    p_values, p_value : of the parameters, (nparameter,), and of them all, that ranks are uniform
    folder : its files begin with the name of the fit
    """
    alt = f"Ranks of the true parameters, fit {calibration.fit}"
    with journal_style():
        save_picture(calibration_ranks_figure(calibration), folder, calibration.fit, alt, "")
    write_table(_table(calibration), folder / f"{calibration.fit}.ecsv")
    width = max(map(len, calibration.parameters))
    lines = [
        f"{name:<{width}}  p = {round_number(float(p), 2)}"
        for name, p in zip(calibration.parameters, p_values, strict=True)
    ]
    verdict = "uniform" if p_value >= SMALLEST_P_VALUE else "NOT uniform: do not trust this fit"
    return "\n".join(
        [
            f"Calibration of {calibration.fit}, {calibration.realisation.size} surveys: ranks of"
            f" the true parameters are {verdict} (p = {round_number(p_value, 2)} for all)",
            *lines,
            f"Figure: {folder / calibration.fit}.png",
        ]
    )


def _table(calibration: Calibration) -> Table:
    table = Table(meta={"description": "Simulated surveys: true values, and their ranks in (0, 1)"})
    table["realisation"] = Column(calibration.realisation, description="Number of the survey")
    table["events"] = Column(calibration.events, description="Number of its events")
    for name, truth, rank in zip(
        calibration.parameters, calibration.truth.T, calibration.rank.T, strict=True
    ):
        table[f"truth.{name}"] = Column(truth, description="True value, drawn from the prior")
        table[f"rank.{name}"] = Column(rank, description="Share of the posterior below it")
    return table

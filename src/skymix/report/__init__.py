"""The report of a study: one HTML page, figures as PNG and PDF, tables as ECSV."""

from skymix.report.inputs import Fit, ReportInput
from skymix.report.page import make_report
from skymix.report.pymc import PymcReport, make_pymc_report
from skymix.report.software import installed_versions
from skymix.report.stars import StarReport, make_star_report
from skymix.report.summary import summary_text

__all__ = [
    "Fit",
    "PymcReport",
    "ReportInput",
    "StarReport",
    "installed_versions",
    "make_pymc_report",
    "make_report",
    "make_star_report",
    "summary_text",
]

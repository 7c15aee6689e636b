"""The tabulated response of an observation: from a DL3 file, or the built-in telescope."""

from pathlib import Path

from skymix.axes import EnergyAxis
from skymix.domains.gamma.dl3 import locate
from skymix.store.base import file_sha256
from skymix.store.response import Response
from skymix.study.observation import ParametricTelescope, PointLikeResponse, RecordedResponse


def tabulate_response(
    settings: ParametricTelescope | RecordedResponse | PointLikeResponse,
    axis_true: EnergyAxis,
    data: Path,
) -> tuple[Response, dict[str, str]]:
    """Tabulate a response on the true energies of a study.

    Parameters
    ----------
    settings : where the response comes from
    axis_true : true energy cells
    data : folder that relative paths start from

    Returns
    -------
    response, and the sha256 of each file read by its path in the study

    Raises
    ------
    DataError
        If the file is missing or unusable, or the true energies leave the response's.
    """
    if isinstance(settings, ParametricTelescope):
        from skymix.domains.gamma.telescope import telescope_response

        return telescope_response(axis_true, settings.area_scale, settings.psf_scale), {}
    from skymix.domains.gamma.irf import read_point_like_response, read_response
    from skymix.domains.gamma.irf_types import Stated

    path = locate(settings.path, data)
    if isinstance(settings, PointLikeResponse):
        return read_point_like_response(path, axis_true), {str(settings.path): file_sha256(path)}
    stated = Stated(settings.background_unit, settings.background_alignment)
    return read_response(path, axis_true, stated), {str(settings.path): file_sha256(path)}

"""What `ncsctl calibrate` has found, from the state directory."""

from __future__ import annotations

import math

import msgspec
from msgspec import Struct

from ncs_cluster.config import text_file
from ncs_cluster.config.context import Context
from ncs_cluster.config.paths import state_dir
from ncs_cluster.errors import ConfigError
from ncs_cluster.provision import places
from ncs_cluster.specs import DieFigures
from ncs_cluster.types import StickId

SECONDS, KELVIN = (1.0, 10_000.0), (1.0, 500.0)
"""What time constants and rises of a stick may be."""
MOST_SIGMA = 0.3
LARGEST = 64 << 20
"""Bytes; a day of readings has 5 MB."""


class _File(Struct):
    figures: DieFigures


def calibrations(context: Context) -> dict[StickId, DieFigures]:
    """The figures of every calibrated stick. Other files, and impossible figures, are left out with a notice."""
    found = {}
    for file in places.calibrations(state_dir(context)):
        try:
            figures = msgspec.json.decode(text_file.read(file, LARGEST), type=_File).figures
        except (OSError, ConfigError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            figures = None
        if figures is None or not _possible(figures):
            context.notices.append(f"{file}: is no calibration and is not used; make it again with ncsctl calibrate, or remove it")
            continue
        found[StickId(file.stem)] = figures
    return found


def _possible(figures: DieFigures) -> bool:
    kelvin = all(KELVIN[0] <= each <= KELVIN[1] for each in (figures.die_rise_k, figures.case_rise_k))
    seconds = all(SECONDS[0] <= each <= SECONDS[1] for each in (figures.die_s, figures.case_s))
    return kelvin and seconds and math.isfinite(figures.sigma) and 0.0 <= figures.sigma <= MOST_SIGMA

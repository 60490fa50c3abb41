"""The only parser of settings: flags beat the environment, which beats the file, which beats defaults.

`load` gives plain `specs.Settings` or raises ConfigError with one line that names the file or flag, the key and the remedy;
`faults` (config/faults.py) goes on behind the first one. pydantic judges every value; where each value came from is kept by
`layers`, so that the line can say so, and `shown` too.

    argv, environ, file -> merged (one tree, with origins) -> model (types, ranges) -> cameras, graphs, sticks, places -> Settings
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ncs_cluster.config.assembled import assembled
from ncs_cluster.config.context import Context
from ncs_cluster.config.flags import parse
from ncs_cluster.config.merged import judged, merged
from ncs_cluster.config.shown import shown
from ncs_cluster.control_messages import Setting
from ncs_cluster.specs import Settings

__all__ = ["load", "read"]


def load(argv: Sequence[str], environ: Mapping[str, str], *, job: bool = False) -> Settings:
    """Settings from a command line (without the program's name) and an environment. `job`: of a job, whose results may have the
    formats of jobs. Raises ConfigError; --help and --version print and raise SystemExit(0)."""
    return read(argv, environ, job=job)[0]


def read(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    job: bool = False,
    running: Settings | None = None,
    numbered: bool = False,
) -> tuple[Settings, list[Setting]]:
    """As `load`, and every key with its origin. `running`: the settings in effect, where a daemon reads them again: what was found
    at its start stays. `numbered`: errors name the line of the file."""
    layers = merged(parse(argv), environ)
    layers.numbered = numbered or running is not None
    context = Context(judged(layers), layers, environ, job=job, running=running)
    settings = assembled(context)
    return settings, shown(context.root, layers, settings)

"""Where things lie below the state directory."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from ncs_cluster.errors import ConfigError


def expanded(text: str) -> Path:
    """With ~ and ~USER put in. Raises ConfigError where there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f'"{text}": there is no such user; write the whole path') from error


def state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where no setting names one: $STATE_DIRECTORY (systemd), else $XDG_STATE_HOME/ncs-cluster, else ~/.local/state/ncs-cluster."""
    if given := environ.get("NCS_CLUSTER_STATE_DIR"):
        return expanded(given).absolute()
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    return expanded(environ.get("XDG_STATE_HOME") or "~/.local/state") / "ncs-cluster"


SERVICE = Path("/var/lib/ncs-cluster")
"""Of the service of deploy/."""


def for_tools() -> Path:
    """As state_dir; the service's where only that is there and may be written."""
    own = state_dir()
    return SERVICE if not os.path.exists(own) and os.access(SERVICE, os.W_OK | os.X_OK) and not _named() else own


def option(state: Path) -> str:
    """What a command line must say for `state`: nothing for the user's own place, which is found without."""
    unnamed = {name: value for name, value in os.environ.items() if name == "XDG_STATE_HOME"}
    return "" if state.absolute() == state_dir(unnamed).absolute() else f" --state-dir {shlex.quote(str(state))}"


def _named() -> bool:
    return any(os.environ.get(name) for name in ("NCS_CLUSTER_STATE_DIR", "STATE_DIRECTORY"))


def firmware(state: Path) -> Path:
    return state / "firmware" / "usb-ma2x8x.mvcmd"


def blobs(state: Path) -> Path:
    return state / "blobs"


def graphs(state: Path) -> Path:
    return state / "graphs"


def compiler(state: Path) -> Path:
    """The environment with the compiler in it, where nobody names another."""
    return state / "compiler"

"""Paths below the state directory."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from ncs_cluster.errors import ConfigError


def expanded(text: str) -> Path:
    """The path with ~ and ~USER expanded. Raises ConfigError for an unknown user."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f'"{text}": no such user; write the whole path') from error


def state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The default state directory: $STATE_DIRECTORY (systemd), else $XDG_STATE_HOME/ncs-cluster, else
    ~/.local/state/ncs-cluster."""
    if given := environ.get("NCS_CLUSTER_STATE_DIR"):
        return expanded(given).absolute()
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    return expanded(environ.get("XDG_STATE_HOME") or "~/.local/state") / "ncs-cluster"


SERVICE = Path("/var/lib/ncs-cluster")
"""State directory of the systemd service in deploy/."""


def for_tools() -> Path:
    """As state_dir; the service's directory where only that exists and is writable."""
    own = state_dir()
    return SERVICE if not os.path.exists(own) and os.access(SERVICE, os.W_OK | os.X_OK) and not _named() else own


def option(state: Path) -> str:
    """The flag that names `state` on a command line; empty for the user's default."""
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


def calibration(state: Path, stick: str) -> Path:
    """What `ncsctl calibrate` has found of the stick at this port."""
    return state / "thermal" / f"{stick}.json"


def calibrations(state: str) -> list[Path]:
    """All such files, in order."""
    folder = Path(state) / "thermal"
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".json")
    except OSError:
        return []


def compiler(state: Path) -> Path:
    """The default environment of the compiler."""
    return state / "compiler"

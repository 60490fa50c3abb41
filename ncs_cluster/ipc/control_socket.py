"""Where a daemon and those who ask it something meet, when nobody has named another place. Runs on CPython 3.9."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Mapping

CONTROL_SOCKET = "control.sock"
"""Its name in the runtime directory."""


def default_runtime_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """$RUNTIME_DIRECTORY (systemd), else $XDG_RUNTIME_DIR/ncs-cluster, else a private directory of this user."""
    if given := environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])
    if session := environ.get("XDG_RUNTIME_DIR"):
        return Path(session) / "ncs-cluster"
    return Path(tempfile.gettempdir()) / f"ncs-cluster-{os.getuid()}"

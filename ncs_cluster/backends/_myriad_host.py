"""What this machine must have for backend myriad: an interpreter with the vendor's plugin. Used where settings are read."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

if TYPE_CHECKING:
    from ncs_cluster.backends.base import Host

PLUGIN = "from openvino.inference_engine import IECore; IECore().get_metric('MYRIAD', 'SUPPORTED_METRICS')"
TRY_S = 60.0


def configure(host: Host) -> Dict[str, Any]:
    """Refuses where the interpreter has no plugin."""
    missing = _missing(host)
    if missing is not None:
        host.refuse("runtime", f"{missing}; name a [runtimes.NAME] whose Python has openvino 2021.4.2 (Python 3.6 to 3.9)")
    return {}


def obstacle(host: Host) -> Optional[str]:
    return _missing(host) if host.given("runtime") else ""


def _missing(host: Host) -> Optional[str]:
    """Why the interpreter cannot drive sticks, or None. It is tried: the plugin is loaded, no stick is touched."""
    python, environment = host.interpreter()
    return missing_plugin(python, environment)


def missing_plugin(python: str, environment: Mapping[str, str], limit_s: float = TRY_S) -> Optional[str]:
    """Why `python` cannot load the vendor's plugin within `limit_s`, or None."""
    try:
        tried = subprocess.run(
            [python, "-c", PLUGIN],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=limit_s,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} cannot be tried: {error}"
    said = tried.stderr.decode(errors="replace").strip().splitlines()
    return None if tried.returncode == 0 else f"{python} has no plugin for sticks: {said[-1] if said else tried.returncode}"

"""What this machine has for neural compute sticks: the sticks themselves, the firmware they boot with, the vendor's plugin."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Optional

from ncs_cluster.config.asked import Asked
from ncs_cluster.config.places import state_dir
from ncs_cluster.provision import places

PLUGIN = "from openvino.inference_engine import IECore; IECore().get_metric('MYRIAD', 'SUPPORTED_METRICS')"


def sysfs(asked: Asked) -> Path:
    """Where the kernel lists its devices. A folder that somebody named and that is none would be waited for, for ever."""
    root = asked.path(asked.root.discovery.sysfs, "discovery", "sysfs")
    if asked.given("discovery", "sysfs") and not root.is_dir():
        asked.refuse("discovery", "sysfs", because=f"{root} is no folder; leave it out for the kernel's own, /sys")
    return root


def firmware(asked: Asked) -> Path:
    """Where the firmware of the sticks is, or would be once it is installed."""
    named = asked.root.xlink.firmware
    return asked.path(named, "xlink", "firmware") if named else places.firmware(Path(state_dir(asked)))


def no_plugin(asked: Asked) -> Optional[str]:
    """Why the interpreter of [myriad] cannot drive sticks, or None. It is tried: the plugin is loaded, no stick is touched."""
    name = asked.root.myriad.runtime
    asked.check_runtime(name, "myriad", "runtime")
    table = asked.root.runtimes.get(name)
    python = sys.executable if table is None else shutil.which(str(Path(table.python).expanduser())) or table.python
    environ = {key: value for key, value in asked.environ.items() if key not in ("PYTHONHOME", "VIRTUAL_ENV", "PYTHONPATH")}
    try:
        tried = subprocess.run(
            [python, "-c", PLUGIN],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            env={**environ, **(table.env if table else {})},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} cannot be tried: {error}"
    said = tried.stderr.decode(errors="replace").strip().splitlines()
    return None if tried.returncode == 0 else f"{python} has no plugin for sticks: {said[-1] if said else tried.returncode}"

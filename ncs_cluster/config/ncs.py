"""What this machine has for neural compute sticks: the sticks themselves, the firmware they boot with, the vendor's plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Optional

from ncs_cluster.config.asked import Asked
from ncs_cluster.config.places import interpreter, state_dir
from ncs_cluster.errors import ConfigError
from ncs_cluster.provision import places
from ncs_cluster.xlink.firmware import judge, patch

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


def get_firmware(asked: Asked) -> str:
    """The command that puts it there."""
    return "ncsctl firmware install" + places.option(Path(state_dir(asked)))


def whole_firmware(asked: Asked) -> Path:
    """The firmware, looked into. What somebody names may be another release's; what was installed is ours to the last byte."""
    path, named = firmware(asked), asked.given("xlink", "firmware")
    key = ("xlink", "firmware") if named else ("backend",)
    if not path.is_file():
        asked.refuse(*key, because=f"there is no firmware {path}; get it with: {get_firmware(asked)}")
    try:
        (patch if named else judge)(path.read_bytes())
    except OSError as error:
        asked.refuse(*key, because=f"{path}: {error.strerror}")
    except ConfigError as error:
        # ends with the command
        asked.refuse(*key, because=f"{path} {error}{places.option(Path(state_dir(asked)))}")
    return path


def libusb(asked: Asked) -> str:
    """One that is named by a path must be there; any other name is looked up by the system when a stick is opened."""
    name = str(asked.root.xlink.libusb)
    if "/" not in name:
        return name
    path = asked.path(name, "xlink", "libusb")
    if not path.is_file():
        asked.refuse("xlink", "libusb", because=f"{path} is no file; leave it out for the system's own libusb-1.0")
    return str(path)


def no_plugin(asked: Asked) -> Optional[str]:
    """Why the interpreter of [myriad] cannot drive sticks, or None. It is tried: the plugin is loaded, no stick is touched."""
    name = asked.root.myriad.runtime
    asked.check_runtime(name, "myriad", "runtime")
    table = asked.root.runtimes.get(name)
    python = sys.executable if table is None else interpreter(asked, name) or table.python
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

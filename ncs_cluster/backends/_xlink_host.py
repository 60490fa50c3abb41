"""What this machine must have for backend xlink: the vendor's firmware, and libusb. Used where settings are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional

from ncs_cluster.errors import ConfigError
from ncs_cluster.provision import places
from ncs_cluster.xlink.firmware import judge, patch

if TYPE_CHECKING:
    from ncs_cluster.backends.base import Host


def configure(host: Host) -> Dict[str, Any]:
    """The options `firmware`, a path whose content was verified, and `libusb` where it is set."""
    found: Dict[str, Any] = {"libusb": _libusb(host)} if host.given("libusb") else {}
    return {**found, "firmware": str(_whole_firmware(host))}


def obstacle(host: Host) -> Optional[str]:
    path = _firmware(host)
    return None if path.is_file() else f"there is no firmware {path}; get it with: {_get_firmware(host)}"


def _firmware(host: Host) -> Path:
    """Where the firmware is, or would be once it is installed."""
    return host.path("firmware") if host.option("firmware") else places.firmware(host.state_dir)


def _get_firmware(host: Host) -> str:
    """The command that installs it."""
    return "ncsctl firmware install" + places.option(host.state_dir)


def _whole_firmware(host: Host) -> Path:
    """A firmware that is named by an option may be of another release; an installed one must match its checksum."""
    path, named = _firmware(host), host.given("firmware")
    option = "firmware" if named else None
    if not path.is_file():
        host.refuse(option, f"there is no firmware {path}; get it with: {_get_firmware(host)}")
    try:
        (patch if named else judge)(path.read_bytes())
    except OSError as error:
        host.refuse(option, f"{path}: {error.strerror}")
    except ConfigError as error:
        # the error ends with the command
        host.refuse(option, f"{path} {error}{places.option(host.state_dir)}")
    return path


def _libusb(host: Host) -> str:
    """A path must be there; any other name is looked up by the system when a stick is opened."""
    name = str(host.option("libusb"))
    if "/" not in name:
        return name
    path = host.path("libusb")
    if not path.is_file():
        host.refuse("libusb", f"{path} is no file; leave it out for the system's own libusb-1.0")
    return str(path)

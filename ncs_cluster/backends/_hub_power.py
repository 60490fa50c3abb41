"""Switches USB ports off and on again, where their hub can switch single ports: the last help for a stick that answers nothing.

    python -m ncs_cluster.backends._hub_power LIBUSB PORT...

It is a process of its own, which neither a signal nor the end of its worker interrupts: a port must not stay off. A stick at USB 3
has two ports at one socket, one of each speed; its power is off only when both are. Exit code 0, or 1 with one line on standard
output. Requests and descriptors are those of the USB specification's hub class. Runs on CPython 3.9.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import List, NamedTuple, NoReturn, Optional

from ncs_cluster.backends import _libusb as usb
from ncs_cluster.backends._libusb import Context, Device, Handle, UsbError
from ncs_cluster.errors import NcsClusterError

OFF_S = 2.0
"""Seconds without power: a stick's capacitors hold its chip for a fraction of one."""
LIMIT_S = 20.0
HUB_GET, HUB_SET = 0xA0, 0x23
GET_DESCRIPTOR, CLEAR_FEATURE, SET_FEATURE = 6, 1, 3
PORT_POWER = 8
HUB_DESCRIPTORS = (0x2900, 0x2A00)
"""Descriptor types of a hub: up to USB 2, and of USB 3."""
SWITCHING, SINGLE_PORTS = 3, 1
"""Bits of wHubCharacteristics, and their value where each port is switched by itself."""


class CannotSwitch(NcsClusterError):
    """The message is one line: which hub, and why."""


class _Socket(NamedTuple):
    """One port of an open hub."""

    hub: Handle
    number: int


def cycle(libusb: str, ports: List[str]) -> None:
    """Switch the ports ("1-1.2") off and on in a process of its own. Raises CannotSwitch."""
    command = [sys.executable, "-m", "ncs_cluster.backends._hub_power", libusb, *ports]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotSwitch(f"the process that switches it: {error}") from error
    if ended.returncode:
        raise CannotSwitch(ended.stdout.decode(errors="replace").strip() or f"exit code {ended.returncode}")


def _switch(context: Context, ports: List[str]) -> None:
    """Raises CannotSwitch before anything is switched."""
    sockets: List[_Socket] = []
    try:
        for port in ports:
            sockets.append(_socket(context, port))
        try:
            for socket in sockets:
                _power(socket, CLEAR_FEATURE)
            time.sleep(OFF_S)
        finally:
            for socket in sockets:
                _power(socket, SET_FEATURE)
    except UsbError as error:
        raise CannotSwitch(f"its hub refuses: {error}") from error
    finally:
        for socket in sockets:
            socket.hub.close()


def _power(socket: _Socket, request: int) -> None:
    socket.hub.control(HUB_SET, request, PORT_POWER, socket.number)


def _socket(context: Context, port: str) -> _Socket:
    bus, _, chain = port.partition("-")
    above, _, number = chain.rpartition(".")
    where = f"the hub at {bus}-{above}" if above else f"the root hub of bus {bus}"
    hub = _hub(context, int(bus), above)
    if hub is None:
        raise CannotSwitch(f"there is no hub for port {port}")
    try:
        handle = context.open(hub)
    except UsbError as error:
        reason = "no permission to open it" if error.code == usb.ACCESS else str(error)
        raise CannotSwitch(f"{where}: {reason}") from error
    for descriptor in HUB_DESCRIPTORS:
        try:
            about = handle.control(HUB_GET, GET_DESCRIPTOR, descriptor, 0, 64)
        except UsbError:
            continue
        if len(about) >= 5 and int.from_bytes(about[3:5], "little") & SWITCHING == SINGLE_PORTS:
            return _Socket(handle, int(number))
    handle.close()
    raise CannotSwitch(f"{where} does not switch single ports")


def _hub(context: Context, bus: int, chain: str) -> Optional[Device]:
    return next((device for device in context.devices(None) if (device.bus, device.chain) == (bus, chain)), None)


def main() -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        _switch(Context(sys.argv[1]), sys.argv[2:])
    except (CannotSwitch, UsbError, OSError) as error:
        print(error)
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    main()

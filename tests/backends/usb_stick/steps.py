"""Steps of tests on a stick over libusb: boot it, send and wait."""

from __future__ import annotations

import time

import pytest

from ncs_cluster.backends._libusb import Context
from ncs_cluster.backends._usb_pipe import Pipe
from ncs_cluster.backends._usb_stick import UsbStick
from ncs_cluster.emulator.boot import CALL, MEMORY, START, WATCHDOG, artificial_firmware
from ncs_cluster.errors import StickError

PORT = "1-1.2"
GOODBYE = b"RESET"
CHUNK = 256 << 10
WAIT_S = 30.0
"""The patience of a host on a machine that stands still for seconds."""


def patched() -> bytes:
    plain = artificial_firmware(600_000)
    at = plain.rfind(CALL)
    return plain[:at] + MEMORY + b"\0" + plain[at : -len(START)] + WATCHDOG + b"\1" + START


FIRMWARE = patched()


def boot(context: Context, port: str = PORT, booted_port: str | None = None, timeout_s: float = WAIT_S) -> Pipe:
    return UsbStick(context, f"stick {port}", port, booted_port, CHUNK).boot(FIRMWARE, GOODBYE, timeout_s, timeout_s)


def refused(context: Context, **how: float) -> StickError:
    with pytest.raises(StickError) as error:
        boot(context, **how)  # type: ignore[arg-type]
    return error.value


def echoed(context: Context, pipe: Pipe, data: bytes) -> bytes:
    pipe.send(data)
    pipe.ask(len(data))
    return wait(context, pipe)


def wait(context: Context, pipe: Pipe) -> bytes:
    """What was asked for."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        got = pipe.step()
        if got is not None:
            return bytes(got)
        context.wait(1)
    raise AssertionError("nothing came")

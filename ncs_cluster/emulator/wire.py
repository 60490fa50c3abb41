"""The messages between the emulated libusb and the bus; the header of libusb.c documents them."""

from __future__ import annotations

import struct
from enum import IntEnum

VERSION = 1
HEAD = struct.Struct("=IIHHIii")
"""size of the following data, id, op, endpoint, target, a, b"""
RECORD = struct.Struct("=IBBBB8s18sH")
"""A device in a list: id, bus, address, speed, depth, ports, device descriptor, size of the following configuration."""
DATA_MAX = 16 << 20


class Op(IntEnum):
    HELLO = 0
    LIST = 1
    OPEN = 2
    CLOSE = 3
    CLAIM = 4
    RELEASE = 5
    DETACH = 6
    SET_CONFIGURATION = 7
    GET_CONFIGURATION = 8
    RESET = 9
    CLEAR_HALT = 10
    SET_ALTERNATE = 11
    SUBMIT = 12
    CANCEL = 13
    ASK = 14
    CHANGED = 15
    CONTROL = 32
    """A command to the emulator, as JSON, answered with JSON (see `server`)."""


class Error(IntEnum):
    """libusb's errors."""

    SUCCESS = 0
    IO = -1
    INVALID_PARAM = -2
    ACCESS = -3
    NO_DEVICE = -4
    NOT_FOUND = -5
    BUSY = -6
    TIMEOUT = -7
    OVERFLOW = -8
    PIPE = -9
    INTERRUPTED = -10
    NO_MEM = -11
    NOT_SUPPORTED = -12
    OTHER = -99


class Status(IntEnum):
    """How a transfer ended."""

    COMPLETED = 0
    ERROR = 1
    TIMED_OUT = 2
    CANCELLED = 3
    STALL = 4
    NO_DEVICE = 5
    OVERFLOW = 6


CALLS = {
    Op.LIST: "get_device_list",
    Op.OPEN: "open",
    Op.CLOSE: "close",
    Op.CLAIM: "claim_interface",
    Op.RELEASE: "release_interface",
    Op.DETACH: "detach_kernel_driver",
    Op.SET_CONFIGURATION: "set_configuration",
    Op.GET_CONFIGURATION: "get_configuration",
    Op.RESET: "reset_device",
    Op.CLEAR_HALT: "clear_halt",
    Op.SET_ALTERNATE: "set_interface_alt_setting",
    Op.SUBMIT: "transfer",
    Op.ASK: "submit_transfer",
    Op.CANCEL: "cancel_transfer",
}
"""Names of calls in faults and traces; blocking transfers and ends of asynchronous ones are "transfer"."""

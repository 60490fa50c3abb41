"""A program that calls libusb against a server that answers at random, one connection after the other: run by test_usb_rogue."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.emulator.libusb import Found, Transfer, Usb, UsbError, Watcher, handle_events


def use(usb: Usb, found: Found, chance: random.Random) -> None:
    """All that a program does with a device."""
    handle = usb.open(found, claim=False)
    flying: list[Transfer] = []
    for length in (84, 4096):
        transfer = Transfer(handle, 0x81, length, 30)
        with suppress(UsbError):
            flying.append(transfer.submit())
    calls: list[Callable[[], object]] = [
        handle.claim,
        lambda: handle.write(bytes(1000), timeout_ms=20),
        lambda: handle.read(84, timeout_ms=20),
        lambda: handle.string(2),
        handle.reset,
        lambda: flying[0].cancel(),
    ]
    for call in calls:
        with suppress(UsbError, UnicodeDecodeError, IndexError):
            call()
    if chance.random() < 0.5:
        handle_events(usb, 0.01)
    # transfers under way are forgotten with their handle, and may then be freed
    handle.close()
    for transfer in flying:
        transfer.free()


def suffer(usb: Usb, chance: random.Random) -> None:
    """One connection, until it is lost or has been used enough."""
    watcher = Watcher(usb)
    for _ in range(6):
        for found in usb.sticks():
            with suppress(UsbError):
                usb.endpoints(found)
            with suppress(UsbError):
                use(usb, found, chance)
            usb.lib.libusb_unref_device(found.device)
        handle_events(usb, 0.0)
    del watcher  # its callback was kept until here


def main() -> None:
    library, socket, seeds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    survived = 0
    for seed in range(seeds):
        try:
            usb = Usb(library, socket)
        except UsbError:
            continue
        with suppress(UsbError):
            suffer(usb, random.Random(seed))
        usb.exit()
        survived += 1
    print("survived", survived, flush=True)


main()

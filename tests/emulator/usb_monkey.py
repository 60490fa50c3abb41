"""A program that calls libusb at random from three threads for a while, and ends with "done": run by test_usb_fuzz."""

from __future__ import annotations

import random
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.emulator.libusb import Handle, Transfer, Usb, UsbError, Watcher, handle_events, patched

LASTS_S = 2.0


def play(usb: Usb, seed: int, until_s: float) -> None:
    """One thread's calls: its own handles, transfers ended before they are freed, as libusb demands."""
    chance = random.Random(seed)
    handle: Handle | None = None
    kept: list[Transfer] = []  # another thread may still be on its way out of their callbacks
    while time.monotonic() < until_s:
        with suppress(UsbError):
            if handle is None:
                found = usb.sticks()
                if found:
                    handle = usb.open(chance.choice(found), claim=False)
                for one in found:
                    usb.lib.libusb_unref_device(one.device)
                continue
            what = chance.randrange(9)
            if what == 0:
                handle.close()
                handle = None
            elif what == 1:
                handle.claim()
            elif what == 2:
                handle.release()
            elif what == 3:
                handle.write(chance.choice([patched(), bytes(84), bytes(100_000)]), timeout_ms=20)
            elif what == 4:
                handle.read(chance.choice([84, 4096]), timeout_ms=5)
            elif what == 5:
                handle.string(chance.randrange(6))
            elif what == 6:
                handle.reset()
            else:
                datas: list[bytes | int] = [b"abc", 84]
                some = [Transfer(handle, chance.choice([1, 0x81]), chance.choice(datas), 30) for _ in range(3)]
                kept += some
                sent = []
                for transfer in some:
                    with suppress(UsbError):
                        sent.append(transfer.submit())
                for transfer in sent:
                    with suppress(UsbError):
                        if chance.random() < 0.5:
                            transfer.cancel()
                for transfer in sent:
                    transfer.wait()
                for transfer in some:
                    transfer.free()
    if handle is not None:
        handle.close()


def main() -> None:
    library, socket = map(Path, sys.argv[1:])
    usb = Usb(library, socket)
    watcher = Watcher(usb)
    for found in usb.sticks():
        with suppress(UsbError):
            usb.endpoints(found)
    until_s = time.monotonic() + LASTS_S
    threads = [threading.Thread(target=play, args=(usb, seed, until_s)) for seed in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        handle_events(usb, 0.01)
    usb.exit()
    assert watcher.heard
    print("done")


main()

"""A stick at its place on the bus: found, freed of what ran on it, booted, found again.

In its boot ROM a stick is 03e7:2485 and takes its firmware as one long write. Then it leaves the bus, and is 03e7:f63b next: on
most machines at the same chain of ports (of another bus where it is USB 3), on a Raspberry Pi 4 at another chain. It has no name of
its own, so whose it is shows in this order: the port it is known to come back at, the same chain, else one that has just come and
nobody else has claimed. A claim excludes all other programs, so sticks may boot at the same time. Runs on CPython 3.9.
"""

from __future__ import annotations

import time
from typing import Callable, List, Optional, Set, Tuple

from ncs_cluster.backends import _libusb as usb
from ncs_cluster.backends._libusb import Context, Device, Handle, UsbError
from ncs_cluster.backends._usb_pipe import Pipe
from ncs_cluster.errors import StickError

VENDOR, ROM, BOOTED = 0x03E7, 0x2485, 0xF63B

LOOK_S = 0.02
STALL_S = 2.0
"""The ROM takes a chunk in milliseconds; the vendor gives up after this time too."""
ELSEWHERE_S = 1.0
"""After its ROM has left, so long only its own chain is looked at."""
LATE_HOME_S = 3.0
"""And so long only the port it is known to come back at, where there is one: equal chains of two buses are two sticks."""
RESET_S = 1.0
DRAIN = 1 << 16
"""What it still had to say is read, in any portions, so that it can listen."""
PERMISSIONS = "put its user into the group of deploy/99-ncs-cluster.rules, install that file, and plug the stick in again"


class UsbStick:
    """One stick. `name` begins every complaint; `port` is its place as the kernel calls it ("1-1.2"), before or after its boot."""

    def __init__(self, context: Context, name: str, port: str, booted_port: Optional[str], chunk: int) -> None:
        self._context, self._name, self.port, self._chunk = context, name, port, chunk
        self.booted_port = booted_port
        self._known_rom: Optional[Set[Tuple[int, int]]] = None
        """Sticks that waited for their boot when this one had been booted last: none of them is this one."""
        self._foreign: Set[Tuple[int, int]] = set()
        """Seen at this boot: of our chain on another bus, and in other hands."""
        self._held: Optional[StickError] = None
        """What is said of such a one where nothing else is found."""

    def boot(
        self, firmware: bytes, goodbye: bytes, boot_timeout_s: float, watchdog_s: float, step: Callable[[], None] = lambda: None
    ) -> Pipe:
        """Boot it from whatever state it is in. `goodbye` is what makes its firmware leave; one that does not listen is given
        `watchdog_s` to leave by itself. `step` is called before each of the steps, which may take so long each. Raises
        StickError("open", "gone", "link" or "hang", ...)."""
        # addresses are used again
        self._held, self._foreign = None, set()
        booted, waiting = self._find(), self._there(ROM)
        away = False
        if booted is not None and booted.product == BOOTED:
            step()
            away = self._send_away(booted, goodbye, watchdog_s)
        step()
        rom = self._await_rom(boot_timeout_s, waiting if away else None)
        others = self._there(BOOTED)
        step()
        self._write(rom, firmware, boot_timeout_s)
        step()
        pipe = self._await_booted(rom, others, boot_timeout_s)
        self._known_rom = self._there(ROM)
        return pipe

    def _listed(self) -> List[Device]:
        try:
            return self._context.devices(VENDOR)
        except UsbError as error:
            raise StickError("open", f"{self._name}: USB devices cannot be listed: {error}") from error

    def _find(self) -> Optional[Device]:
        """What is at our place now. At its very ports the ROM goes before a booted one, which is about to leave. Where both are
        known the same chain of another bus is another stick; else what runs there is sooner ours than what waits for its boot."""
        chains = [] if self.booted_port else [self.port.partition("-")[2]]
        found = [
            device
            for device in self._listed()
            if device.product in (ROM, BOOTED)
            and (device.port in self._ports or (device.chain in chains and (device.bus, device.address) not in self._foreign))
        ]
        found.sort(key=lambda device: (device.port not in self._ports, (device.product == BOOTED) == (device.port in self._ports)))
        return found[0] if found else None

    @property
    def _ports(self) -> List[str]:
        """Where it is when it is there, as far as is known."""
        return [port for port in (self.port, self.booted_port) if port]

    def _there(self, product: int) -> Set[Tuple[int, int]]:
        """Bus and address of all devices of a kind."""
        return {(device.bus, device.address) for device in self._listed() if device.product == product}

    def _await_rom(self, timeout_s: float, waiting: Optional[Set[Tuple[int, int]]]) -> Device:
        """Ours before its boot. Where two had been mixed up it shows elsewhere: not among `waiting` where it was sent away, else
        not among those of its last boot, and only when nobody else has wanted it for long."""
        began_s = time.monotonic()
        strangers, patience_s = (waiting, ELSEWHERE_S) if waiting is not None else (self._known_rom, LATE_HOME_S)
        while True:
            device = self._find()
            theirs = waiting if waiting is not None and device is not None and device.port not in self._ports else ()
            if device is not None and device.product == ROM and (device.bus, device.address) not in theirs:
                return device
            if strangers is not None and time.monotonic() > began_s + patience_s:
                for each in self._listed():
                    if each.product == ROM and (each.bus, each.address) not in strangers:
                        return each
            if time.monotonic() > began_s + timeout_s:
                raise self._held or StickError("gone", f"{self._name}: no stick at USB port {self.port}")
            time.sleep(LOOK_S)

    def _claim(self, device: Device, configure: bool = False) -> Handle:
        """Open it for us alone. Raises UsbError."""
        handle = self._context.open(device)
        try:
            if configure:
                handle.configure(1)
            handle.claim()
        except UsbError:
            handle.close()
            raise
        return handle

    def _refused(self, device: Device, error: UsbError) -> StickError:
        where = f"{self._name}: USB port {device.port}"
        if error.code == usb.ACCESS:
            return StickError("open", f"{where}: no permission to open it: {PERMISSIONS}")
        if error.code == usb.BUSY:
            return StickError("open", f"{where}: another program holds it: end that one (OpenVINO, depthai, another daemon)")
        if error.code == usb.NO_DEVICE:
            return StickError("gone", f"{where}: the stick was unplugged")
        return StickError("open", f"{where}: it cannot be opened: {error}: plug it in again, look at cable and power")

    def _send_away(self, device: Device, goodbye: bytes, watchdog_s: float) -> bool:
        """Firmware of a program that has gone still runs on it, in a state nobody knows: back to the ROM with it. False: it is
        another one, and at work."""
        try:
            handle = self._claim(device)
        except UsbError as error:
            if error.code == usb.NO_DEVICE:
                return True  # it was about to leave
            if error.code == usb.BUSY and device.port not in self._ports:
                self._foreign.add((device.bus, device.address))
                self._held = self._refused(device, error)
                return False
            raise self._refused(device, error) from error
        pipe = Pipe(self._context, handle, self._name, self._chunk)
        left = False
        try:
            pipe.send(goodbye)
            pipe.ask(DRAIN)
            left = self._await_departure(device, RESET_S, pipe)
            if not left:
                handle.reset()
        except (StickError, UsbError):
            pass  # it has just gone, or does not listen: then its watchdog has the word
        finally:
            pipe.close()
        if not left and not self._await_departure(device, watchdog_s):
            raise StickError("hang", f"{self._name}: it neither answers nor resets itself: unplug it, look at the hub's power")
        return True

    def _await_departure(self, device: Device, timeout_s: float, pipe: Optional[Pipe] = None) -> bool:
        until_s = time.monotonic() + timeout_s
        while any((device.bus, device.address) == (seen.bus, seen.address) for seen in self._listed()):
            if time.monotonic() > until_s:
                return False
            time.sleep(LOOK_S)
            if pipe is not None and pipe.step() is not None:
                pipe.ask(DRAIN)
        return True

    def _write(self, rom: Device, firmware: bytes, timeout_s: float) -> None:
        try:
            endpoint = self._context.out_endpoint(rom)
            handle = self._claim(rom, configure=True)
        except UsbError as error:
            raise self._refused(rom, error) from error
        pipe = Pipe(self._context, handle, self._name, self._chunk, endpoint or 1)
        try:
            until_s = time.monotonic() + timeout_s
            moved_s, left = time.monotonic(), len(firmware)
            pipe.send(firmware)
            while not pipe.quiet:
                self._context.wait(0.1)
                pipe.step()
                if pipe.unsent != left:
                    moved_s, left = time.monotonic(), pipe.unsent
                if time.monotonic() > min(until_s, moved_s + STALL_S):
                    raise StickError(
                        "open", f"{self._name}: it does not take its firmware: plug it in again, look at the hub's power"
                    )
        except StickError as error:
            # a chip that leaves with the last bytes has begun to boot
            if error.reason != "gone" or pipe.unsent > self._chunk:
                raise
        finally:
            pipe.close()

    def _await_booted(self, rom: Device, others: Set[Tuple[int, int]], timeout_s: float) -> Pipe:
        until_s, left_s = time.monotonic() + timeout_s, None
        refused: Optional[StickError] = None
        foreign: Set[str] = set()
        while time.monotonic() < until_s:
            listed = self._listed()
            in_rom = {(device.bus, device.address) for device in listed if device.product == ROM}
            foreign |= {device.chain for device in listed if device.product == ROM} - {rom.chain}
            if left_s is None and (rom.bus, rom.address) not in in_rom:
                left_s = time.monotonic()
            away_s = time.monotonic() - left_s if left_s is not None else 0.0
            elsewhere = away_s > ELSEWHERE_S
            late = self.booted_port is None or away_s > min(LATE_HOME_S, timeout_s / 2)
            new = [seen for seen in listed if seen.product == BOOTED and (seen.bus, seen.address) not in others]
            own = [seen for seen in new if seen.port == self.booted_port]
            own += [seen for seen in new if late and seen.chain == rom.chain and seen not in own]
            own += [seen for seen in new if late and elsewhere and seen.chain not in foreign and seen not in own]
            for device in own:
                try:
                    handle = self._claim(device)
                except UsbError as error:
                    # permissions come a moment after the device; a neighbour's stick is busy for ever
                    refused = self._refused(device, error)
                    continue
                self.booted_port = device.port
                return Pipe(self._context, handle, self._name, self._chunk)
            time.sleep(LOOK_S)
        if refused is not None:
            raise refused
        if left_s is None:
            raise StickError("open", f"{self._name}: its firmware did not start: is the file the one for USB (usb-ma2x8x.mvcmd)?")
        raise StickError("gone", f"{self._name}: it did not come back after its boot: look at cable and hub's power")

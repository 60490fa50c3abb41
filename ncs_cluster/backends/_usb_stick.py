"""A stick at its USB port: find it, reset old firmware, boot it, find the booted device.

In its boot ROM a stick takes its firmware as one long write. It then leaves the bus and returns as another USB device: on most
machines at the same port chain (of another bus at USB 3), on a Raspberry Pi 4 at another chain. A stick has no serial number.
Where the port of its return is known, only the device at that port is claimed. Where it is not, the core lets no other stick boot
meanwhile, and the device at the same chain is claimed, else one that has just come. A boot has failed as soon as the boot ROM is
back at the stick's own port. Runs on CPython 3.9.
"""

from __future__ import annotations

import time
from typing import Callable, List, Optional, Set, Tuple

from ncs_cluster.backends import _libusb as usb
from ncs_cluster.backends._hub_power import CannotSwitch
from ncs_cluster.backends._libusb import Context, Device, Handle, UsbError
from ncs_cluster.backends._usb_pipe import Pipe
from ncs_cluster.errors import StickError
from ncs_cluster.usb_ids import MYRIAD_X

VENDOR, ROM, BOOTED = MYRIAD_X

LOOK_S = 0.02
STALL_S = 2.0
"""Seconds for one chunk of firmware, as with the vendor; the ROM takes one in milliseconds."""
ELSEWHERE_S = 1.0
"""Seconds after the ROM left in which only the stick's own chain is searched."""
RESET_S = 1.0
DRAIN = 1 << 16
"""Bytes of one read of pending output: firmware with output pending does not read."""
POWER = "look at its cable and the hub's power"
PERMISSIONS = (
    "put its user into the group of deploy/99-ncs-cluster.rules, install that file, and plug the stick in again "
    "(ncsctl doctor has the commands)"
)


class _Mute(Exception):
    """The stick is on the bus and does not answer. The message names the request."""


class UsbStick:
    """One stick. Every error begins with `name`; `port` is the kernel's name of its port ("1-1.2"), before or after its boot."""

    def __init__(
        self,
        context: Context,
        name: str,
        port: str,
        booted_port: Optional[str],
        chunk: int,
        *,
        place: Optional[str] = None,
        switch: Optional[Callable[[List[str]], None]] = None,
    ) -> None:
        """`place`: the port for people. `switch` switches ports off and on, for a stick that answers nothing. It raises
        CannotSwitch."""
        self._context, self._name, self.port, self._chunk = context, name, port, chunk
        self.booted_port = booted_port
        self._place, self._switch = place or port, switch
        self._foreign: Set[Tuple[int, int]] = set()
        """Devices seen during this boot at the same chain of another bus, claimed by another program."""
        self._held: Optional[StickError] = None
        """The error about such a device, raised when no other is found."""

    def boot(
        self, firmware: bytes, goodbye: bytes, boot_timeout_s: float, watchdog_s: float, step: Callable[[], None] = lambda: None
    ) -> Pipe:
        """Boot the stick from any state. `goodbye` is the frame that makes running firmware reset; firmware that does not read it
        has `watchdog_s` to be reset by its watchdog. `step` is called before each step with a time-out of its own. Raises
        StickError("open", "gone", "link" or "hang", ...)."""
        hand = f"it needs a hand: unplug the stick at port {self._place} and plug it in again"
        try:
            return self._boot(firmware, goodbye, boot_timeout_s, watchdog_s, step)
        except _Mute as mute:
            if self._switch is None:
                raise StickError("hang", f"{self._name}: {mute}: {hand}, {POWER}") from mute
            step()
            try:
                self._switch(self._ports)
            except CannotSwitch as error:
                detail = f"{self._name}: {mute}, and its port cannot be switched off: {error}: {hand}"
                raise StickError("hang", detail) from error
        try:
            return self._boot(firmware, goodbye, boot_timeout_s, watchdog_s, step)
        except _Mute as mute:
            raise StickError("hang", f"{self._name}: {mute}, after its port was switched off and on: {hand}") from mute

    def _boot(self, firmware: bytes, goodbye: bytes, boot_timeout_s: float, watchdog_s: float, step: Callable[[], None]) -> Pipe:
        # the kernel reuses addresses
        self._held, self._foreign = None, set()
        booted, waiting = self._find(), self._there(ROM)
        away = False
        if booted is not None and booted.product == BOOTED:
            step()
            away = self._send_away(booted, goodbye, watchdog_s)
        step()
        rom = self._await_rom(boot_timeout_s, waiting if away else None)
        others = self._there(BOOTED)
        neighbours = {device.port for device in self._listed() if device.product == ROM} - {rom.port}
        step()
        self._write(rom, firmware, boot_timeout_s)
        step()
        return self._await_booted(rom, others, neighbours, boot_timeout_s)

    def _listed(self) -> List[Device]:
        try:
            return self._context.devices(VENDOR)
        except UsbError as error:
            raise StickError("open", f"{self._name}: USB devices cannot be listed: {error}") from error

    def _find(self) -> Optional[Device]:
        """The device at the stick's port now. At the port itself a ROM wins over a booted device, which is about to leave. When the
        ports before and after the boot are known, the same chain of another bus is another stick; else a running device there wins
        over a ROM."""
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
        """Its ports, as far as they are known."""
        return [port for port in (self.port, self.booted_port) if port]

    def _there(self, product: int) -> Set[Tuple[int, int]]:
        """Bus and address of all devices of a kind."""
        return {(device.bus, device.address) for device in self._listed() if device.product == product}

    def _await_rom(self, timeout_s: float, waiting: Optional[Set[Tuple[int, int]]]) -> Device:
        """The stick in its ROM. `waiting`: the ROMs on the bus before this stick was reset; where it is known by its chain only,
        none of them is this stick."""
        until_s = time.monotonic() + timeout_s
        while True:
            device = self._find()
            theirs = waiting if waiting is not None and device is not None and device.port not in self._ports else ()
            if device is not None and device.product == ROM and (device.bus, device.address) not in theirs:
                return device
            if time.monotonic() > until_s:
                raise self._held or StickError("gone", f"{self._name}: no stick at USB port {self.port}")
            time.sleep(LOOK_S)

    def _claim(self, device: Device, configure: bool = False) -> Handle:
        """Open and claim the device. Raises UsbError."""
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
        """Reset firmware that an ended program left running in an unknown state. False: the device is another stick, in use."""
        try:
            handle = self._claim(device)
        except UsbError as error:
            if error.code == usb.NO_DEVICE:
                return True  # the device was about to leave
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
            pass  # the device has just left, or does not read: its watchdog resets it then
        finally:
            pipe.close()
        if not left and not self._await_departure(device, watchdog_s):
            raise _Mute("no answer and no watchdog reset")
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
                    raise _Mute("it does not take its firmware")
        except StickError as error:
            # a chip that leaves during the last chunk has begun to boot
            if error.reason != "gone" or pipe.unsent > self._chunk:
                raise
        finally:
            pipe.close()

    def _await_booted(self, rom: Device, others: Set[Tuple[int, int]], neighbours: Set[str], timeout_s: float) -> Pipe:
        """The booted stick, claimed. `others`: devices that were booted before this boot began. `neighbours`: ports at which others
        were in their ROM then; those that boot meanwhile may be away already."""
        until_s, left_s = time.monotonic() + timeout_s, None
        refused: Optional[StickError] = None
        neighbours = set(neighbours)
        while time.monotonic() < until_s:
            listed = self._listed()
            in_rom = {device.port: device.address for device in listed if device.product == ROM}
            if in_rom.get(rom.port, rom.address) != rom.address:
                raise StickError("open", f"{self._name}: its boot failed: it is back in its boot ROM: {POWER}")
            if left_s is None and rom.port not in in_rom:
                left_s = time.monotonic()
            neighbours |= set(in_rom) - {rom.port}
            new = [seen for seen in listed if seen.product == BOOTED and (seen.bus, seen.address) not in others]
            if self.booted_port is not None:
                own = [seen for seen in new if seen.port == self.booted_port]
            else:
                own = [seen for seen in new if seen.chain == rom.chain]
                # while a neighbour is away it may be the neighbour's
                if left_s is not None and time.monotonic() > left_s + ELSEWHERE_S and neighbours <= set(in_rom):
                    chains = {port.partition("-")[2] for port in neighbours}
                    own += [seen for seen in new if seen.chain not in chains and seen not in own]
            for device in own:
                try:
                    handle = self._claim(device)
                except UsbError as error:
                    # udev sets permissions after the device appears; another program's stick stays busy
                    refused = self._refused(device, error)
                    continue
                self.booted_port = device.port
                return Pipe(self._context, handle, self._name, self._chunk)
            time.sleep(LOOK_S)
        if refused is not None:
            raise refused
        if left_s is None:
            raise StickError("open", f"{self._name}: its firmware did not start: is the file the one for USB (usb-ma2x8x.mvcmd)?")
        where = f" at USB port {self.booted_port}" if self.booted_port is not None else ""
        raise StickError("gone", f"{self._name}: it did not come back{where} after its boot: {POWER}")

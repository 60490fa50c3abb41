"""Life of the sticks on the emulated bus: plugged, booted, running, reset, pulled, and their faults. Pure.

`bus` handles calls to a device, `transfers` its transfers.
"""

from __future__ import annotations

import heapq
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ncs_cluster.emulator import descriptors, faults, values
from ncs_cluster.emulator.boot import BootStream
from ncs_cluster.emulator.loopback import Chip
from ncs_cluster.emulator.port import BOOTS, PROFILE, Device, Port, Profile, parse_name

STICKS_MAX = 100
MOST_TIMES = 10_000
"""Most repetitions of a flapping plug, or of failing boots."""
SHORTEST_S = 0.001
"""Least seconds between two moves of a flapping plug."""
LEAVE_S = 0.02
"""Host seconds from a chip's reset to its disconnection: the host reads its last bytes meanwhile."""


class Ports(ABC):
    """The caller collects `changes` (device, came). `log` takes lines for people."""

    def __init__(
        self, chip_of: Callable[..., Chip], time_scale: float = 1.0, log: Callable[[str], None] = lambda line: None
    ) -> None:
        self.ports: dict[str, Port] = {}
        self.devices: dict[int, Device] = {}
        self.changes: list[tuple[Device, bool]] = []
        self.armed = faults.Armed()
        """Faults of calls to any port, or to none."""
        self._memory: int | None = None
        """Most bytes of all pending transfers together, as limited by the kernel; None: no limit."""
        self._chip_of, self._scale, self._log = chip_of, time_scale, log
        self._steps: list[tuple[float, int, Callable[[float], None]]] = []
        self._ids = itertools.count(1)
        self._addresses: dict[int, int] = {}

    @property
    def due_s(self) -> float | None:
        """Time of the next `tick`."""
        due = [self._steps[0][0]] if self._steps else []
        for port in self.ports.values():
            if port.chip is not None and (chip_s := port.chip.due_s) is not None:
                due.append(chip_s)
        return min(due, default=None)

    def tick(self, now_s: float) -> None:
        """Process everything due by now."""
        while self._steps and self._steps[0][0] <= now_s:
            heapq.heappop(self._steps)[2](now_s)
        for port in list(self.ports.values()):
            chip = port.chip
            if chip is not None and (due_s := chip.due_s) is not None and due_s <= now_s:
                chip.tick(now_s)
                self._pump(port, now_s)

    @abstractmethod
    def _pump(self, port: Port, now_s: float) -> None:
        """Pass the chip's bytes to pending IN transfers."""

    @abstractmethod
    def _gone(self, device: Device) -> None:
        """The device is no longer on the bus."""

    @abstractmethod
    def _taken_again(self, port: Port, now_s: float) -> None:
        """Deliver waiting OUT transfers once the port accepts them."""

    def _at(self, due_s: float, step: Callable[[float], None]) -> None:
        heapq.heappush(self._steps, (due_s, next(self._ids), step))

    def add(self, name: str, options: dict[str, Any], now_s: float) -> None:
        """Plug a new stick into a new port. Raises ValueError."""
        if name in self.ports:
            raise ValueError(f"port {name} has a stick: plug brings back one that was pulled")
        if len(self.ports) >= STICKS_MAX:
            raise ValueError(f"{STICKS_MAX} sticks are as many as one bus has addresses for")
        values.check(options, values.kinds_of(Profile))
        try:
            profile = Profile(**{key: value for key, value in options.items() if key in PROFILE})
            port = Port(name, profile, {key: value for key, value in options.items() if key not in PROFILE}, self._chip_of)
            port.new_chip(True)
        except TypeError as error:
            raise ValueError(str(error)) from error
        for root in {parse_name(name)[0], parse_name(port.run_name)[0]} - {device.bus for device in self.devices.values()}:
            speed = descriptors.SUPER if root != parse_name(name)[0] else descriptors.HIGH
            self._arrive(root, (), descriptors.root_hub(speed), None)
        if profile.hub is not None:
            for each in {name, port.run_name}:
                self._make_hub(each, profile.hub)
        self.ports[name] = port
        self.plug(name, now_s)

    def _hub_of(self, name: str) -> Device | None:
        """The hub that has this port."""
        bus, chain = parse_name(name)
        return next((device for device in self.devices.values() if (device.bus, device.chain) == (bus, chain[:-1])), None)

    def _make_hub(self, name: str, switching: str) -> None:
        """The hub of this port can be opened, and switches power as told."""
        bus, chain = parse_name(name)
        hub = self._hub_of(name)
        if hub is None:
            root = self._hub_of(f"{bus}-1")
            speed = root.descriptors.speed if root is not None else descriptors.HIGH
            hub = self._arrive(bus, chain[:-1], descriptors.hub(speed), None)
        hub.hub = switching

    def power(self, hub: Device, number: int, now_s: float, *, on: bool) -> None:
        """A hub switches a port, or all of its ports where it has one switch. A stick is without power when all its ports are."""
        numbers = {number} if hub.hub == "single" else set(range(1, descriptors.HUB_PORTS + 1))
        hub.off = set() if hub.hub == "none" else hub.off - numbers if on else hub.off | numbers
        for port in self.ports.values():
            hubs = [(self._hub_of(name), parse_name(name)[1][-1]) for name in {port.name, port.run_name}]
            dark = all(each is not None and last in each.off for each, last in hubs)
            if dark and port.state != "absent":
                port.counts["cuts"] += 1
                self._vanish(port, now_s)
                port.state, port.dark = "absent", True
                port.pace.refuse_out = False
            elif not dark and port.dark:
                port.dark = False
                self.plug(port.name, now_s)

    def plug(self, name: str, now_s: float) -> None:
        port = self.port(name)
        if port.state == "absent":
            self._rom(port)

    def pull(self, name: str, now_s: float, again_s: float | None = None) -> None:
        """Pull the stick at once, in any state. Raises ValueError."""
        port = self.port(name)
        values.check({"again_s": again_s}, {"again_s": "float | None"})
        port.counts["pulls"] += 1
        self._vanish(port, now_s)
        port.state = "absent"
        if again_s is not None:
            self._later(port, again_s, now_s, lambda now_s: self.plug(name, now_s))

    def clear(self, now_s: float) -> None:
        """Remove all sticks and their faults."""
        for port in self.ports.values():
            self._vanish(port, now_s)
        self.changes += [(device, False) for device in self.devices.values()]
        self.devices.clear()
        self.ports.clear()
        self.armed.clear()
        self._memory = None

    def port(self, name: str) -> Port:
        """Raises ValueError."""
        try:
            return self.ports[name]
        except KeyError:
            raise ValueError(f"no stick was put into port {name}; there are {', '.join(self.ports) or 'none'}") from None

    def fault(self, name: str | None, kind: str, how: dict[str, Any], now_s: float) -> None:
        """Something goes wrong on command; what is not of this level is the chip's. Raises ValueError."""
        port = self.port(name) if name is not None else None
        fault = faults.make(kind, how)
        if kind in ("boot", "flap", "memory"):
            values.check(how, {"times": "int", "up_s": "float", "down_s": "float", "bytes": "int"})
            if how.get("result", "never") not in BOOTS or how.get("times", 1) > MOST_TIMES:
                raise ValueError(f"a boot ends {', '.join(BOOTS)}, and times are at most {MOST_TIMES}")
        if kind == "clear":
            (port or self).armed.clear()
            if port is None:
                self._memory = None
            else:
                port.pulls.clear()
                port.boots.clear()
                self._set_pace(port, faults.Pace(), now_s)
                if port.chip is not None:
                    port.chip.fault(kind)
        elif isinstance(fault, faults.CallFault):
            (port or self).armed.add(fault)
        elif kind == "memory":
            self._memory = int(how.get("bytes", 16 << 20))
        elif port is None:
            raise ValueError(f"fault {kind} needs a port")
        elif isinstance(fault, faults.Pull):
            port.pulls.append(fault)
        elif isinstance(fault, faults.Pace):
            self._set_pace(port, fault, now_s)
        elif kind == "boot":
            port.boots.extend([str(how.get("result", "never"))] * int(how.get("times", 1)))
        elif kind == "flap":
            up_s, down_s = (max(SHORTEST_S, how.get(name, 0.2)) for name in ("up_s", "down_s"))
            self._flap(port, how.get("times", 3), up_s, down_s, now_s)
        elif port.chip is None:
            raise ValueError(f"port {port.name} is {port.state}: fault {kind!r} needs a running stick")
        else:
            try:
                port.chip.fault(kind, **how)
            except TypeError as error:
                raise ValueError(f"fault {kind}: {error}") from error
            self._pump(port, now_s)

    def _set_pace(self, port: Port, pace: faults.Pace, now_s: float) -> None:
        port.pace = pace
        if not pace.refuse_out:
            self._taken_again(port, now_s)

    def _flap(self, port: Port, times: int, up_s: float, down_s: float, now_s: float) -> None:
        """A loose plug: pulled and plugged a few times."""
        if times > 0 and port.state != "absent" and self.ports.get(port.name) is port:
            self.pull(port.name, now_s, down_s)
            self._at(now_s + down_s + up_s, lambda now_s: self._flap(port, times - 1, up_s, down_s, now_s))

    def _moment(self, port: Port, moment: str, now_s: float) -> bool:
        """True if the stick was pulled now."""
        for pull in port.pulls:
            if pull.on == moment:
                pull.after -= 1
                if pull.after < 0:
                    port.pulls.remove(pull)
                    self.pull(port.name, now_s, pull.again_s)
                    return True
        return False

    def _later(self, port: Port, after_s: float, now_s: float, step: Callable[[float], None]) -> None:
        life = port.life
        self._at(now_s + after_s, lambda now_s: step(now_s) if port.life == life else None)

    def _arrive(self, bus: int, chain: tuple[int, ...], what: descriptors.Descriptors, port: Port | None) -> Device:
        used = {device.address for device in self.devices.values() if device.bus == bus}
        address = self._addresses.get(bus, 0)
        while True:
            address = address % 127 + 1
            if address not in used:
                break
        self._addresses[bus] = address
        device = Device(next(self._ids), bus, address, chain, what, port)
        self.devices[device.id] = device
        self.changes.append((device, True))
        return device

    def _vanish(self, port: Port, now_s: float) -> None:
        device, port.device, port.chip = port.device, None, None
        port.life += 1
        if device is None:
            return
        device.present = False
        device.claims.clear()
        del self.devices[device.id]
        self.changes.append((device, False))
        self._gone(device)

    def _rom(self, port: Port) -> None:
        port.life += 1
        port.state, port.stream = "rom", BootStream(port.profile.any_firmware)
        bus, chain = parse_name(port.name)
        port.device = self._arrive(bus, chain, port.descriptors(descriptors.rom()), port)

    def _start(self, port: Port, now_s: float) -> None:
        """The ROM has the complete firmware: it leaves the bus and returns as the boot's result says."""
        stream, wrong = port.stream, port.stream.fault()
        if wrong:
            self._log(f"{port.name}: firmware refused: {wrong}")
            port.stream = BootStream(port.profile.any_firmware)
            return
        result = port.boots.popleft() if port.boots else port.profile.boot
        self._vanish(port, now_s)
        port.state = "booting"
        port.counts["boots"] += 1
        if self._moment(port, "boot", now_s) or result == "never":
            return
        boot: Callable[[float], None] = lambda now_s: self._run(port, stream.watchdog, now_s)  # noqa: E731
        self._later(port, port.profile.boot_s, now_s, boot if result == "well" else lambda now_s: self._rom(port))

    def _run(self, port: Port, watchdog: bool, now_s: float) -> None:
        bus, chain = parse_name(port.run_name)
        port.state = "run"
        port.chip = port.new_chip(watchdog)
        port.chip.tick(now_s)
        port.device = self._arrive(bus, chain, port.descriptors(descriptors.run(port.speed(), port.serial())), port)
        self._moment(port, "run", now_s)

    def _leave(self, port: Port, now_s: float) -> None:
        """The firmware has reset itself."""

        def back(now_s: float) -> None:
            port.counts["resets"] += 1
            self._vanish(port, now_s)
            port.state = "booting"
            self._later(port, port.profile.reset_s, now_s, lambda now_s: self._rom(port))

        if port.state == "run":
            port.state = "leaving"
            self._later(port, LEAVE_S * self._scale, now_s, back)

"""The fan and the sensor of the air, each in a thread: some sensors take most of a second to answer (DS18B20), and a bus may hang.

    supervisor -- set_fan(duty), every second --> FanDriver --> pwmN
    status     <-- fan_duty, ambient_c ---------- FanDriver, AmbientSensor <-- a file of millidegrees
    log        <-- tick() ----------------------- a failure once, and its end

The fan is at full speed from the start until the first duty, when no duty has come for SILENT_S, and from the end of the daemon on.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from msgspec import structs

from ncs_cluster.processes import sysfs
from ncs_cluster.specs import AmbientSpec, FanSpec
from ncs_cluster.status import MachineStatus

PERIOD_S = 1.0
REWRITE_S = 10.0
"""The speed is written again, in case that another program or the kernel has changed it."""
SILENT_S = 5.0
"""No duty for so long: the event loop stands still, or has ended without a word."""
READ_S = 2.0
OLD_S = 30.0
"""An older reading of the air is not shown."""
END_S = 1.0
FULL, MANUAL = 255, 1
"""Of pwmN and of pwmN_enable."""
LOWEST_C, HIGHEST_C = -55.0, 125.0

Say = Callable[[str, str, str], None]


class Complaints:
    """Says a failure once, and its end once."""

    def __init__(self, who: str, say: Say) -> None:
        self._who, self._say, self._complained = who, say, False

    def failed(self, why: str) -> None:
        if not self._complained:
            self._say("warning", self._who, f"{why}; tried again until it works")
        self._complained = True

    def works(self) -> None:
        if self._complained:
            self._say("info", self._who, "works again")
        self._complained = False


class FanDriver:
    """Sets one fan. `step` is what its thread does once in PERIOD_S."""

    def __init__(self, spec: FanSpec, say: Say, now_s: float) -> None:
        """`now_s`, here and below: seconds of the monotonic clock."""
        self.shown: float | None = None
        """The duty it is set to; None: it cannot be set."""
        self._spec, self._root = spec, Path(spec.sysfs)
        self._complaints = Complaints("fan", say)
        self._duty, self._told_s = 1.0, now_s
        self._written: int | None = None
        self._due_s = now_s

    def tell(self, duty: float, now_s: float) -> None:
        self._duty, self._told_s = duty, now_s

    def step(self, now_s: float, *, ended: bool = False) -> None:
        """Write the speed where it has changed, has failed, or is due again."""
        duty = 1.0 if ended or now_s - self._told_s > SILENT_S else self._duty
        pwm = min(FULL, math.ceil(duty * FULL))
        if pwm == self._written and now_s < self._due_s and not ended:
            return
        self._due_s = now_s + REWRITE_S
        try:
            self._write(pwm)
        except OSError as error:
            self._written = self.shown = None
            self._complaints.failed(f"cannot be set: {error}")
            return
        self._written, self.shown = pwm, round(pwm / FULL, 3)
        self._complaints.works()

    def _write(self, pwm: int) -> None:
        # looked for each time: a driver that is loaded again has another number
        file = sysfs.chip_file(self._root, self._spec.chip, f"pwm{self._spec.channel}")
        enable = file.with_name(f"{file.name}_enable")
        if enable.exists() and sysfs.read_number(enable) != MANUAL:
            sysfs.write_number(enable, MANUAL)
        sysfs.write_number(file, pwm)


class AmbientSensor:
    """Reads one sensor. `step` is what its thread does once in READ_S."""

    def __init__(self, spec: AmbientSpec, say: Say) -> None:
        self._spec, self._root = spec, Path(spec.sysfs)
        self._complaints = Complaints("ambient", say)
        self._reading: tuple[float, float] | None = None
        """°C, and when it was read."""

    def reading_c(self, now_s: float) -> float | None:
        reading = self._reading
        return None if reading is None or now_s - reading[1] > OLD_S else reading[0]

    def step(self, now_s: float) -> None:
        try:
            value_c = self._read() / 1000
        except OSError as error:
            self._reading = None
            self._complaints.failed(f"cannot be read: {error}")
            return
        if not LOWEST_C <= value_c <= HIGHEST_C:
            self._reading = None
            self._complaints.failed(f"says {value_c:g} °C, which no air has; the file must hold thousandths of a degree")
            return
        self._reading = round(value_c, 1), now_s
        self._complaints.works()

    def _read(self) -> int:
        if self._spec.file:
            return sysfs.read_number(sysfs.inside(self._root, self._root / self._spec.file))
        return sysfs.read_number(sysfs.chip_file(self._root, self._spec.chip, f"temp{self._spec.channel}_input"))


class Climate:
    """Both of them, where they are configured, and their threads."""

    def __init__(self, fan: FanSpec | None, ambient: AmbientSpec | None) -> None:
        self._said: deque[tuple[str, str, str]] = deque()
        self._ended = threading.Event()
        self._fan = None if fan is None else FanDriver(fan, self._keep, time.monotonic())
        self._ambient = None if ambient is None else AmbientSensor(ambient, self._keep)
        self._turn = threading.Event()
        self._thread: threading.Thread | None = None
        if self._fan is not None:
            self._thread = threading.Thread(target=self._drive, args=(self._fan,), name="fan", daemon=True)
            self._thread.start()
        if self._ambient is not None:
            threading.Thread(target=self._look, args=(self._ambient,), name="ambient", daemon=True).start()

    def set_fan(self, duty: float) -> None:
        """Told every second; without a fan nothing happens."""
        if self._fan is not None:
            self._fan.tell(duty, time.monotonic())
            self._turn.set()

    def tick(self, log: Say) -> None:
        """Log what the threads have said: (level, who, text)."""
        while self._said:
            log(*self._said.popleft())

    def shown(self, machine: MachineStatus | None) -> MachineStatus | None:
        """The machine's figures with these two."""
        if machine is None:
            return None
        ambient_c = None if self._ambient is None else self._ambient.reading_c(time.monotonic())
        return structs.replace(machine, ambient_c=ambient_c, fan_duty=None if self._fan is None else self._fan.shown)

    def close(self) -> None:
        """Full speed, and no thread works on; waits END_S at most for a bus that hangs."""
        self._ended.set()
        self._turn.set()
        if self._thread is not None:
            self._thread.join(END_S)

    def _keep(self, level: str, who: str, text: str) -> None:
        # the log belongs to the event loop
        self._said.append((level, who, text))

    def _drive(self, fan: FanDriver) -> None:
        while not self._ended.is_set():
            fan.step(time.monotonic())
            self._turn.wait(PERIOD_S)
            self._turn.clear()
        fan.step(time.monotonic(), ended=True)

    def _look(self, sensor: AmbientSensor) -> None:
        while True:
            # the time before a slow reading: its age is never less than it is
            sensor.step(time.monotonic())
            if self._ended.wait(READ_S):
                return

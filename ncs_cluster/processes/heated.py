"""The process that drives the stick of `ncsctl calibrate`: it works or rests as it is told, and reports every reading.

It stops the work by itself before the die reaches the limit, so that a command that is slow, stopped or gone harms no stick. Runs
on CPython 3.9.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import statistics
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, NoReturn, Optional

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import Backend, DeviceInfo
from ncs_cluster.errors import NcsClusterError, StickError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages.calibration import Heated, Load, Measured, OpenHeated, ToHeated
from ncs_cluster.messages.child import Failed, Stop
from ncs_cluster.plugins import load
from ncs_cluster.processes import child

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PERIOD_S, SHORTEST_S = 1.0, 0.01
"""Plant seconds between two readings; real seconds at least."""
BELOW_K, RESUME_K = 2.0, 12.0
"""The stick stops working so far below the limit: a die rises by half a kelvin in a second, a reading is wrong by up to 1.5 K. It
goes on so far below."""
DEAF_S, DEAF_K = 120.0, 3.0
"""A sensor that has not risen by so much after so long at full load does not see its die."""
WINDOW = 8
OLD_S = 3.0
"""Real seconds after which a reading says nothing about now."""
PATIENCE_S = 60.0
"""Real seconds after which a request counts as hung."""
LOWEST_C, HIGHEST_C = -20.0, 125.0


class Guard:
    """Whether a stick that should work may. Pure; times in plant seconds.

    A sensor that says the same for DEAF_S while the stick works may be frozen, or the stick is in its steady state: a rest tells,
    in which the reading has to fall by DEAF_K.
    """

    def __init__(self, limit_c: float) -> None:
        self._limit_c = limit_c
        self.cool = True
        self._lowest_c: Optional[float] = None
        """Where the reading was when the stick began to work; -inf: it has risen since; None: it rests."""
        self._since_s = 0.0
        """When it began to work, or to rest for the sensor's sake."""
        self._same_c: Optional[float] = None
        self._same_s = 0.0
        self._tried_c: Optional[float] = None
        """The reading that has to fall."""

    def read(self, value_c: Optional[float], level: int, now_s: float, *, working: bool) -> None:
        """A reading. Raises StickError where the sensor cannot be trusted."""
        if value_c is None or not LOWEST_C <= value_c <= HIGHEST_C:
            self.cool, self._lowest_c = False, None
            return
        if level > 0 or value_c >= self._limit_c - BELOW_K:
            self.cool, self._tried_c = False, None
        elif self._tried_c is not None:
            if value_c <= self._tried_c - DEAF_K:
                self.cool, self._tried_c = True, None
            elif now_s - self._since_s > DEAF_S:
                raise StickError("open", f"its sensor reads {value_c:.1f} °C after {DEAF_S:.0f} s of rest: it does not cool down")
        elif value_c <= self._limit_c - RESUME_K:
            self.cool = True
        if value_c != self._same_c or not (working and self.cool):
            self._same_c, self._same_s = value_c, now_s
        if not working or not self.cool:
            self._lowest_c = None
        elif self._lowest_c is None:
            self._lowest_c, self._since_s = value_c, now_s
        elif now_s - self._since_s > DEAF_S and value_c < self._lowest_c + DEAF_K:
            raise StickError("open", f"its sensor reads {value_c:.1f} °C after {DEAF_S:.0f} s of work: it does not warm up")
        elif value_c >= self._lowest_c + DEAF_K:
            self._lowest_c, self._since_s = -math.inf, now_s
        if now_s - self._same_s > DEAF_S:
            self.cool, self._tried_c, self._since_s = False, value_c, now_s
            self._lowest_c = None


class Stick:
    """The open stick."""

    def __init__(
        self,
        channel: Channel[Any],
        settings: OpenHeated,
        backend: Backend,
        device: DeviceInfo,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._channel, self._backend, self._most = channel, backend, device.max_in_flight
        self._scale, self._guard = settings.time_scale, Guard(settings.limit_c)
        self._image = _noise() if backend.needs_frames else None
        self._graphs = max(1, len(settings.graphs))
        self.asked = False
        """It shall work."""
        self._tag = 0
        self._in_flight: Dict[int, float] = {}
        self._began_s = self._next_s = self._clock()
        self._ends_s: Deque[float] = deque(maxlen=WINDOW)
        """When the stick began to work without a break, and when its last inferences ended."""
        self._usual_s: Deque[float] = deque(maxlen=101)
        """From the end of one inference to the next one's, each a mean of WINDOW."""
        self._worked_s, self._last_s = 0.0, -math.inf

    def run(self) -> None:
        """Until Stop. Raises EOFError when the command has ended, StickError."""
        while True:
            self.turn()
            if self._wait():
                received = self._channel.receive()
                assert received is not None
                if isinstance(received.message, Stop):
                    return
                if isinstance(received.message, Load):
                    self.asked = received.message.on

    @property
    def due_s(self) -> float:
        """When `turn` has something to do."""
        return self._next_s if self._backend.due_s is None else min(self._next_s, self._backend.due_s)

    def turn(self) -> None:
        """Whatever is due. Raises StickError."""
        self._collect()
        now_s = self._clock()
        if now_s >= self._next_s:
            self._next_s = now_s + max(SHORTEST_S, PERIOD_S / self._scale)
            self._measure()
        while self.asked and self._guard.cool and len(self._in_flight) < self._most:
            self._tag += 1
            if not self._in_flight:
                self._ends_s.clear()
                self._ends_s.append(self._clock())
            self._in_flight[self._tag] = self._clock()
            self._backend.submit(self._tag, self._tag % self._graphs, self._image)

    def _wait(self) -> bool:
        """Until something is to be done. True: a message has come."""
        watched: List[int] = [self._channel.fileno()]
        if self._backend.wake_fd is not None:
            watched.append(self._backend.wake_fd)
        return self._channel.fileno() in select.select(watched, [], [], max(0.0, self.due_s - self._clock()))[0]

    def _collect(self) -> None:
        now_s = self._clock()
        for completed in self._backend.collect():
            self._in_flight.pop(completed.tag, None)
            self._inferred(now_s)
        if self._in_flight and self._clock() - min(self._in_flight.values()) > PATIENCE_S:
            raise StickError("hang", f"no answer for {PATIENCE_S:.0f} s")

    def _inferred(self, now_s: float) -> None:
        """An inference is done: the stick has worked for the usual time of one.

        Where this host is late, the stick has nothing to do though a request seems to be in flight; with several executors
        inferences overlap. So what counts is the usual time from the end of one to the next one's, while there is always a request
        in flight.
        """
        since_s, before_s = now_s - self._ends_s[-1], list(self._ends_s)
        self._ends_s.append(now_s)
        if len(before_s) == WINDOW:
            self._usual_s.append((now_s - before_s[0]) / WINDOW)
        self._worked_s += statistics.quantiles(self._usual_s, n=4)[0] if len(self._usual_s) > 1 else since_s

    def _measure(self) -> None:
        reading = self._backend.read_sensor()
        at_s = (self._clock() - reading.age_s - self._began_s) * self._scale
        if at_s < self._last_s + PERIOD_S / 4:
            # the last reading again, which has become older
            if reading.age_s > OLD_S:
                self._guard.read(None, 0, at_s, working=self.asked)
            return
        self._last_s, level = at_s, reading.throttle_level or 0
        value_c = reading.temperature_c
        if value_c is not None and not math.isfinite(value_c):
            value_c = None
        self._guard.read(value_c, level, at_s, working=self.asked)
        kept_cool = self.asked and not self._guard.cool
        self._channel.send(Measured(at_s, value_c, level, self._worked_s * self._scale, kept_cool))


def main() -> NoReturn:
    """The process. Exit code 0 after Stop, 1 after Failed."""
    channel = child.enter("heated", ToHeated)
    settings = child.first_message(channel, OpenHeated)
    backend: Optional[Backend] = None
    try:
        backend = load(BACKENDS.get(settings.stick.backend).driver)(settings.time_scale)
        device = backend.open(settings.stick, settings.graphs, lambda phase: None)
        if not device.has_sensor:
            raise StickError("open", "it has no temperature sensor")
        channel.send(Heated(device.name, device.firmware))
        Stick(channel, settings, backend, device).run()
        backend.close()
    except (EOFError, BrokenPipeError):
        os._exit(1)
    except StickError as error:
        _fail(channel, backend, Failed(error.reason, error.detail))
    except NcsClusterError as error:
        _fail(channel, backend, Failed("protocol", str(error)))
    except Exception as error:
        _fail(channel, backend, child.unexpected(error))
    # threads and exit handlers of vendor libraries may hang at a regular exit
    os._exit(0)


def _fail(channel: Channel[Any], backend: Optional[Backend], failed: Failed) -> NoReturn:
    """Say why, and close the stick: one that stays booted has another id, and the next command would begin anew. The command waits
    for it, and kills the process where closing hangs."""
    if backend is None:
        child.fail(channel, failed)
    with contextlib.suppress(Exception):
        channel.send(failed)
        backend.close()
    os._exit(1)


def _noise() -> NDArray[np.uint8]:
    """The picture that is worked on: nobody's."""
    import numpy

    return numpy.random.default_rng(1).integers(0, 256, (300, 300, 3), numpy.uint8)


if __name__ == "__main__":
    main()

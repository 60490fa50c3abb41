"""The steps of a guided recording, each a process that drives one stick through a backend.

`python -m ncs_cluster.cli.usb.steps` takes an `Order` as JSON on standard input and prints messages on standard error.
Pictures are noise from a fixed seed, so two recordings have the same tensors. Runs on CPython 3.9, beside the vendor's plugin.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List

import msgspec

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import Backend, Completed
from ncs_cluster.errors import StickError
from ncs_cluster.plugins import load
from ncs_cluster.specs import GraphSpec, StickSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IN_FLIGHT = 4
INFERENCES = 8
WIDTH, HEIGHT, SEED = 320, 240, 2485
IDLE_S = 3.0
ANSWER_S = 30.0
SILENCE_S, HEAT_S, PULLED_S = 60.0, 600.0, 120.0
"""Seconds to wait for the watchdog, to heat the stick, and to wait for its unplugging."""


class Order(msgspec.Struct, frozen=True):
    """A step and its stick. `scale` shortens the waits, for tests."""

    step: str
    stick: StickSpec
    graph: GraphSpec
    scale: float = 1.0


def session(backend: Backend, order: Order) -> None:
    """Open, run some inferences at full depth, idle, close."""
    _open(backend, order)
    _infer(backend, INFERENCES)
    _rest(backend, IDLE_S * order.scale)
    # the vendor's plugin has no temperature while another program boots or closes a stick
    until_s = time.monotonic() + ANSWER_S
    while backend.read_sensor().temperature_c is None and time.monotonic() < until_s:
        _rest(backend, 0.5)
    _say(f"it has {_temperature(backend, order)}")
    backend.close()


def silence(backend: Backend, order: Order) -> None:
    """Open, then send nothing, to measure the firmware's watchdog."""
    _open(backend, order)
    began_s = time.monotonic()
    left_s = _until(lambda: not _booted(order), SILENCE_S * order.scale)
    _say(f"it left {left_s - began_s:.1f} s after the last ping" if left_s else "it waited all the time")
    # the link is dead: nothing is closed
    os._exit(0)


def killed(backend: Backend, order: Order) -> None:
    """Be killed with requests in flight; the next step opens the stick in that state."""
    _open(backend, order)
    for tag in range(IN_FLIGHT):
        backend.submit(tag, 0, _pictures(1)[0])
    os.kill(os.getpid(), signal.SIGKILL)


def heat(backend: Backend, order: Order) -> None:
    """Run inferences without a pause, and print the temperature every 30 s."""
    _open(backend, order)
    until_s = time.monotonic() + HEAT_S * order.scale
    said_s = 0.0
    while time.monotonic() < until_s:
        _infer(backend, INFERENCES)
        if time.monotonic() - said_s > 30.0:
            said_s = time.monotonic()
            _say(f"{until_s - said_s:.0f} s to go, {_temperature(backend, order)}")
    backend.close()


def unplug(backend: Backend, order: Order) -> None:
    """Run inferences until the stick is unplugged."""
    _open(backend, order)
    _say("UNPLUG THE STICK NOW, and plug it in again after 5 s")
    until_s = time.monotonic() + PULLED_S * order.scale
    try:
        while time.monotonic() < until_s:
            _infer(backend, INFERENCES)
    except StickError as error:
        _say(f"noticed: {error.detail}")
        os._exit(0)
    _say("nobody pulled it")
    backend.close()


STEPS: Dict[str, Callable[[Backend, Order], None]] = {
    "session": session,
    "silence": silence,
    "killed": killed,
    "heat": heat,
    "unplug": unplug,
}


def main() -> None:
    """Run the step. Exit code 1, with a line, when the stick fails."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    backend: Any = load(BACKENDS.get(order.stick.backend).driver)()
    try:
        STEPS[order.step](backend, order)
    except StickError as error:
        _say(error.detail)
        # closing a failed stick may block
        sys.stderr.flush()
        os._exit(1)


def _open(backend: Backend, order: Order) -> None:
    began_s = time.monotonic()
    info = backend.open(order.stick, [order.graph], lambda phase: None)
    _say(f"{info.name} opened in {time.monotonic() - began_s:.1f} s")


def _infer(backend: Backend, count: int) -> None:
    """Run `count` inferences. Raises StickError("hang") when an answer is missing for ANSWER_S."""
    pictures = _pictures(count)
    answered = submitted = 0
    until_s = time.monotonic() + ANSWER_S
    while answered < count:
        while submitted < count and submitted - answered < IN_FLIGHT:
            backend.submit(submitted, 0, pictures[submitted])
            submitted += 1
        answered += len(_wait(backend, 1.0))
        if time.monotonic() > until_s:
            raise StickError("hang", f"{submitted - answered} answers are missing after {ANSWER_S:.0f} s")


def _rest(backend: Backend, for_s: float) -> None:
    until_s = time.monotonic() + for_s
    while (left_s := until_s - time.monotonic()) > 0:
        _wait(backend, left_s)
        backend.read_sensor()


def _wait(backend: Backend, at_most_s: float) -> List[Completed]:
    if backend.due_s is not None:
        at_most_s = min(at_most_s, backend.due_s - time.monotonic())
    select.select([] if backend.wake_fd is None else [backend.wake_fd], [], [], max(0.0, min(0.25, at_most_s)))
    return backend.collect()


def _pictures(count: int) -> List[NDArray[np.uint8]]:
    import numpy as np

    random = np.random.RandomState(SEED)
    return [random.randint(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(count)]


def _temperature(backend: Backend, order: Order) -> str:
    reading = backend.read_sensor()
    if reading.temperature_c is None:
        return "no temperature yet"
    # the vendor's plugin has no throttle level
    level = "" if reading.throttle_level is None else f", throttle level {reading.throttle_level}"
    return f"{reading.temperature_c:.1f} °C{level}"


def _booted(order: Order) -> bool:
    """True while a booted stick is listed, by a libusb context of its own: the stick's context stays untouched."""
    from ncs_cluster.backends import _libusb, _usb_stick

    context = _libusb.Context(order.stick.options.get("libusb", "libusb-1.0.so.0"))
    try:
        return any(device.product == _usb_stick.BOOTED for device in context.devices(_usb_stick.VENDOR))
    finally:
        context.close()


def _until(happened: Callable[[], bool], for_s: float) -> float:
    """time.monotonic() of the event, or 0."""
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        if happened():
            return time.monotonic()
        time.sleep(0.1)
    return 0.0


def _say(line: str) -> None:
    print(f"    {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

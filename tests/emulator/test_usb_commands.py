"""Commands to the emulator: what makes no sense is refused with its reason, and whatever is taken the bus lives on."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.emulator.bus import Bus
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.emulator.stick import FAULTS, Stick
from ncs_cluster.emulator.wire import Op
from tests.emulator.conftest import running
from tests.emulator.libusb import Usb, patched
from tests.hypothesis_profiles import examples

PORT = "1-1.2"
FAR = 1e9


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("libusb", {"call": "open", "error": "io", "times": "two"}),
        ("libusb", {"call": "transfer", "error": "short", "bytes": -7}),
        ("pull", {"on": "open", "again_s": "soon"}),
        ("pull", {"on": "open", "again_s": float("inf")}),
        ("pace", {"out_s": float("nan")}),
        ("boot", {"result": "sunday"}),
        ("boot", {"times": 10**9}),
        ("flap", {"times": 10**8, "up_s": 0, "down_s": 0}),
        ("memory", {"bytes": float("inf")}),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(bus: Emulator, usb: Usb, fault: str, how: dict[str, Any]) -> None:
    bus.add(PORT)
    with pytest.raises(ValueError, match=r"^ValueError: .+"):
        bus.fault(PORT, fault, **how)
    running(bus, usb, PORT).write(b"well")


@pytest.mark.parametrize("profile", [{"boot_s": "x"}, {"boot_s": float("nan")}, {"reset_s": -1}, {"access": "no"}, {"run_port": 5}])
def test_a_stick_that_makes_no_sense_is_refused(bus: Emulator, profile: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(profile))):
        bus.add(PORT, **profile)


@pytest.mark.parametrize("options", [{"watchdog_s": "x"}, {"latency_s": None}, {"ambient_c": float("nan")}, {"heat_scale": 1e300}])
def test_a_chip_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Stick(**options)


def test_what_is_due_in_thirty_years_is_waited_for(bus: Emulator, usb: Usb) -> None:
    bus.add(PORT, reset_s=FAR)
    bus.pull(PORT, again_s=FAR)
    bus.plug(PORT)
    running(bus, usb, PORT).write(b"RESET")
    assert bus.await_state(PORT, "booting")["boots"] == 1


def one_of_words(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(text.split())


words: Any = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just([]), st.just({}))
hows = st.dictionaries(
    st.sampled_from(
        [
            "call",
            "error",
            "times",
            "after",
            "endpoint",
            "bytes",
            "on",
            "again_s",
            "out_s",
            "in_s",
            "split",
            "merge",
            "refuse_out",
            "result",
            "up_s",
            "down_s",
        ]
    ),
    st.one_of(words, st.sampled_from(["open", "transfer", "io", "short", "run", "well", "rom"])),
    max_size=4,
)
insides = st.dictionaries(one_of_words("factor for_s celsius kelvin code writes bytes data pings"), words, max_size=2)
kinds = st.sampled_from(["libusb", "pull", "pace", "boot", "flap", "memory", "clear"])


@settings(max_examples=examples(300), deadline=None)
@given(
    profile=st.dictionaries(
        one_of_words("boot_s reset_s boot access serial run_port config watchdog_s latency_s initial_c heat_scale"),
        words,
    ),
    faults=st.lists(st.one_of(st.tuples(kinds, hows), st.tuples(st.sampled_from(list(FAULTS)), insides)), max_size=5),
)
def test_whatever_is_commanded_a_host_that_follows_finds_the_bus_alive(
    profile: dict[str, Any], faults: list[tuple[str, dict[str, Any]]]
) -> None:
    bus, client, now_s = Bus(Stick), object(), 0.0
    with suppress(ValueError):
        bus.add(PORT, {"boot_s": 0.1, **profile}, now_s)
    if PORT not in bus.ports:
        return
    for kind, how in faults:
        for port in (PORT, None):
            # what the server answers with their text
            with suppress(ValueError, TypeError):
                bus.fault(port, kind, dict(how), now_s)
    for step in range(1, 40):
        device = bus.ports[PORT].device
        if device is not None:
            bus.call(client, step, Op.OPEN, 0, device.id, 0, 0, b"", now_s)
            handle = next((b for _, _, op, a, b, _ in bus.answers if op == Op.OPEN and a == 0), 0)
            bus.call(client, step, Op.CLAIM, 0, handle, 0, 0, b"", now_s)
            data = patched() if bus.ports[PORT].state == "rom" else bytes(84)
            bus.submit(client, step, 1, handle, len(data), 50, data, now_s)
            bus.submit(client, 100 + step, 0x81, handle, 84, 50, b"", now_s)
        with suppress(ValueError, TypeError):
            bus.fault(PORT, *faults[step % len(faults)], now_s) if faults else None
        bus.answers.clear()
        now_s += 0.1
        bus.tick(now_s)
        bus.gone(client, now_s)
    bus.clear(now_s)
    assert not bus.devices

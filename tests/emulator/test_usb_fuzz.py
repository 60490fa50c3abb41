"""Whatever is called, in whatever order, by whomever: the emulated bus and its libusb neither crash nor hang."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.emulator import descriptors
from ncs_cluster.emulator.bus import Bus
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.emulator.loopback import Loopback
from ncs_cluster.emulator.wire import HEAD, Op
from tests.conftest import ROOT
from tests.emulator.libusb import patched
from tests.hypothesis_profiles import examples

PORTS = ("1-1", "1-2.3")


@dataclass(eq=False)
class Caller:
    """A client, as the bus sees one."""

    pid: int


numbers = st.sampled_from([-(2**31), -1, 0, 1, 2, 8, 84, 512, 1024, 4096, 2**31 - 1])
data = st.sampled_from([b"", b"x", bytes(84), bytes(1024), b"RESET", patched(), bytes.fromhex("8006030300001200")])
endpoints = st.sampled_from([0, 1, 2, 4, 0x80, 0x81, 0x82, 0xFFFF])
calls = st.tuples(st.just("call"), st.integers(0, 40), endpoints, st.integers(0, 8), numbers, numbers)
submits = st.tuples(st.just("submit"), endpoints, st.integers(0, 8), data, numbers, st.sampled_from([0, 0, 5, 100]), st.booleans())
boots = st.tuples(st.just("boot"), st.sampled_from(PORTS))
commands = st.tuples(st.sampled_from(["pull", "plug", "wait", "die"]), st.sampled_from(PORTS))
faults = st.tuples(
    st.just("fault"),
    st.sampled_from(
        [
            ("libusb", {"call": "transfer", "error": "io"}),
            ("libusb", {"call": "transfer", "error": "short", "bytes": 3}),
            ("libusb", {"call": "transfer", "error": "timeout"}),
            ("libusb", {"call": "open", "error": "busy", "times": 2}),
            ("pull", {"on": "out", "again_s": 0.5}),
            ("pull", {"on": "in"}),
            ("pull", {"on": "boot", "again_s": 0.1}),
            ("pace", {"out_s": 0.1, "in_s": 0.2, "bytes_per_s": 1e5, "split": 700}),
            ("pace", {"refuse_out": True}),
            ("pace", {"merge": True}),
            ("flap", {"times": 2}),
            ("memory", {"bytes": 2000}),
            ("boot", {"result": "rom"}),
            ("clear", {}),
        ]
    ),
)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(st.one_of(calls, submits, submits, boots, commands, faults), max_size=60))
def test_every_call_is_answered_once_and_claims_belong_to_open_handles(steps: list[tuple[object, ...]]) -> None:
    bus, now_s = Bus(Loopback), 0.0
    callers = [Caller(1), Caller(2)]
    asked: Counter[tuple[Caller, int]] = Counter()
    answered: Counter[tuple[Caller, int]] = Counter()
    handles = [0]
    for port in PORTS:
        bus.add(port, {"boot_s": 0.2}, now_s)

    def call(caller: Caller, op: int, target: int, a: int = 0, b: int = 0, endpoint: int = 0, payload: bytes = b"") -> int:
        id = sum(asked.values()) + 1
        if op != Op.CANCEL:
            asked[caller, id] += 1
        if op == Op.SUBMIT:
            bus.submit(caller, id, endpoint, target, a, b, payload, now_s)
        else:
            bus.call(caller, id, op, endpoint, target, a, b, payload, now_s)
        return id

    def collect() -> None:
        for caller, id, op, a, b, _ in bus.answers:
            answered[caller, id] += 1
            if op == Op.OPEN and a == 0:
                handles.append(b)
        bus.answers.clear()

    for number, step in enumerate(steps):
        caller = callers[number % 2]
        match step:
            case ("call", int(op), int(endpoint), int(which), int(a), int(b)):
                devices = [0, *bus.devices]
                targets = devices if op == Op.OPEN else handles
                call(caller, op, targets[which % len(targets)], a, b, endpoint)
            case ("submit", int(endpoint), int(which), bytes(payload), int(length), int(timeout_ms), bool(right)):
                length = len(payload) if right and not endpoint & 0x80 else length
                call(caller, Op.SUBMIT, handles[-1 - which % len(handles)], length, timeout_ms, endpoint, payload)
            case ("boot", str(port)) if bus.ports[port].state == "rom":
                device = bus.ports[port].device
                assert device is not None
                call(caller, Op.OPEN, device.id)
                collect()
                call(caller, Op.CLAIM, handles[-1])
                call(caller, Op.SUBMIT, handles[-1], len(patched()), 0, 1, patched())
            case ("pull", str(port)):
                bus.pull(port, now_s)
            case ("plug", str(port)):
                bus.plug(port, now_s)
            case ("die", _):
                bus.gone(caller, now_s)
                for key in asked:
                    if key[0] is caller:
                        answered[key] = asked[key]
                callers[number % 2] = Caller(number + 3)
            case ("fault", (str(kind), dict(how))):
                bus.fault(PORTS[number % 2], kind, dict(how), now_s)
            case _:
                now_s += 0.3
        bus.tick(now_s)
        collect()
        assert all(count == 1 for count in answered.values())
        for device in bus.devices.values():
            assert all(handle.device is device and bus.is_open(handle) for handle in device.claims.values())
    bus.clear(now_s)
    collect()
    assert answered == asked
    for _ in range(40):
        now_s += 0.3
        bus.tick(now_s)
    assert not bus.devices
    assert not bus.answers


messages = st.builds(
    lambda size, id, op, endpoint, target, a, payload: HEAD.pack(size or len(payload), id, op, endpoint, target, a, 0) + payload,
    st.sampled_from([0, 0, 0, 7, 100_000, 2**32 - 1]),
    st.integers(0, 3),
    st.integers(0, 40),
    st.integers(0, 255),
    st.integers(0, 12),
    st.integers(-2, 100),
    st.one_of(
        st.binary(max_size=64),
        st.sampled_from([b"[]", b"{", b'{"do": 1}', b'{"do": "add", "port": 5}', b'{"do": "fault"}', b"[" * 5000]),
    ),
)


@settings(max_examples=examples(60), deadline=None)
@given(chunks=st.lists(st.one_of(st.binary(max_size=200), messages), max_size=20))
def test_whatever_is_sent_to_the_socket_the_bus_lives(fuzzed_bus: Emulator, chunks: list[bytes]) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(fuzzed_bus.socket))
        connection.setblocking(False)
        for chunk in chunks:
            try:
                connection.send(chunk)
            except OSError:
                break
        assert fuzzed_bus.state()["state"] in ("rom", "booting", "run")


@pytest.fixture(scope="module")
def fuzzed_bus(start_emulators: Callable[..., Emulator]) -> Emulator:
    emulator = start_emulators(chip="ncs_cluster.emulator.loopback:Loopback", time_scale=20)
    emulator.add("1-1.2")
    return emulator


def test_a_client_that_never_reads_is_dropped_and_hurts_nobody(fuzzed_bus: Emulator) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(fuzzed_bus.socket))
        connection.setblocking(False)
        ask = HEAD.pack(0, 1, Op.LIST, 0, 0, 0, 0) * 1000
        for _ in range(20):
            with suppress(OSError):
                connection.send(ask)
            assert fuzzed_bus.state()["state"] == "rom"


def mangled(chance: random.Random) -> bytes:
    """A configuration descriptor with some bytes changed, cut somewhere, or anything at all."""
    raw = bytearray(descriptors.run(descriptors.SUPER, "").config)
    for _ in range(chance.randrange(1, 12)):
        raw[chance.randrange(len(raw))] = chance.choice([0, 1, 2, 4, 5, 9, 255, chance.randrange(256)])
    return bytes(chance.choice([raw, raw[: chance.randrange(len(raw))], raw[:9] + chance.randbytes(300)]))


DRIVER = Path(__file__).with_name("usb_monkey.py")


@pytest.mark.parametrize("sanitize", [False, True], ids=["plain", "with sanitizers"])
def test_a_program_may_call_libusb_in_any_order_from_several_threads(
    start_emulator: Callable[..., Emulator], request: pytest.FixtureRequest, sanitize: bool
) -> None:
    environment = os.environ | {"PYTHONPATH": os.fspath(ROOT)}
    if sanitize:
        library, preloaded = request.getfixturevalue("sanitized_libusb")
        environment |= preloaded
    else:
        library = request.getfixturevalue("emulated_libusb")
    emulator = start_emulator(chip="ncs_cluster.emulator.loopback:Loopback", time_scale=20)
    for port in PORTS:
        emulator.add(port)
    chance = random.Random(1)
    for number in range(40):
        emulator.add(f"9-{number + 1}", config=mangled(chance).hex(), access=False)
    child = subprocess.Popen(
        [sys.executable, str(DRIVER), str(library), str(emulator.socket)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while child.poll() is None:
        port = chance.choice(PORTS)
        emulator.pull(port, again_s=0.3)
        try:
            child.wait(chance.choice([0.02, 0.1, 0.3]))
        except subprocess.TimeoutExpired:
            continue
    assert child.stdout is not None
    said = child.stdout.read()
    child.stdout.close()
    assert child.returncode == 0, said[-6000:]
    assert emulator.state("1-1")["claimed_by"] == []

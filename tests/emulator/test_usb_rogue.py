"""The emulated libusb before a server that has lost its way: errors, never a crash, a hang or a byte beyond a buffer."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from ncs_cluster.emulator import descriptors
from ncs_cluster.emulator.wire import HEAD, RECORD, Op
from tests.conftest import ROOT

CONNECTIONS = 60
STRANGE = (-(2**31), -99, -7, -4, -1, 1, 2, 5, 6, 7, 85, 4097, 100_000, 2**31 - 1)


def device(chance: random.Random) -> bytes:
    """A list's entry, right but for a byte or two."""
    what = descriptors.run(descriptors.SUPER, "X")
    depth = chance.choice([0, 1, 2, 7, 8, 255])
    raw = bytearray(RECORD.pack(chance.randrange(4), 1, 2, 4, depth, bytes(8), what.device, len(what.config)) + what.config)
    for _ in range(chance.choice([0, 0, 1, 3])):
        raw[chance.randrange(RECORD.size, len(raw))] = chance.randrange(256)
    return bytes(raw[: chance.choice([len(raw)] * 4 + [RECORD.size, 20])])


def answer(chance: random.Random, op: int, id: int, length: int) -> list[bytes]:
    """To one call: mostly what is right, else a status, a size, an id or bytes that are not."""
    a, b, data = 0, chance.randrange(5), b""
    if op == Op.LIST:
        data = b"".join(device(chance) for _ in range(3))
    elif op == Op.SUBMIT:
        b = max(0, length)
        data = os.urandom(min(b, 5000))
    kind = chance.randrange(8)
    if op != Op.HELLO and kind == 0:
        a = chance.choice(STRANGE)
    elif op != Op.HELLO and kind == 1:
        b = chance.choice(STRANGE)
    elif kind == 2 and op == Op.SUBMIT:
        data = os.urandom(chance.choice([0, 1, length + 1 if length > 0 else 9, 70_000]))
    said = HEAD.pack(len(data), id, op, 0, 0, a, b) + data
    extra = [
        said,
        HEAD.pack(0, 0, Op.CHANGED, 0, 0, 0, 0),
        HEAD.pack(9, chance.randrange(40), chance.randrange(40), 1, 2, 3, 4) + bytes(9),
    ]
    return [said, *([chance.choice(extra)] if chance.random() < 0.3 else [])]


def talk(connection: socket.socket, chance: random.Random) -> None:
    """Answers until it is told no more, or breaks off: after a while, in the middle of an answer, or with nonsense."""
    calls = 0
    stream = connection.makefile("rb")
    with connection, suppress(OSError):
        while len(head := stream.read(HEAD.size)) == HEAD.size:
            size, id, op, _, _, a, _ = HEAD.unpack(head)
            stream.read(size)
            calls += 1
            out = b"".join(answer(chance, op, id, a)) if op != Op.CANCEL else b""
            fate = chance.random() if calls > 3 else 1.0
            if fate < 0.01:
                connection.sendall(out[: len(out) // 2])
                break
            if fate < 0.02:
                connection.sendall(chance.randbytes(500))
            connection.sendall(out)
        connection.shutdown(socket.SHUT_RDWR)


def test_whatever_a_server_answers_a_program_gets_errors_and_goes_on(
    sanitized_libusb: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    library, preloaded = sanitized_libusb
    chance = random.Random(7)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(tmp_path / "usb"))
        listener.listen(8)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=talk, args=(connection, random.Random(chance.random())), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        done = subprocess.run(
            [sys.executable, "-m", "tests.emulator.usb_victim", os.fspath(library), os.fspath(tmp_path / "usb"), str(CONNECTIONS)],
            env=os.environ | preloaded,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        listener.shutdown(socket.SHUT_RDWR)
    assert done.returncode == 0, done.stderr[-4000:]
    word, _, survived = done.stdout.strip().partition(" ")
    assert word == "survived"
    assert int(survived) > CONNECTIONS // 2, "a program that never gets a list has tried nothing"

"""The Frigate process as a service of its own: it is there before the first daemon, and after each."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster import messages as m
from ncs_cluster.core.events import Endpoint
from ncs_cluster.processes import resident
from ncs_cluster.processes.frigate.__main__ import MOST_MEMORY
from ncs_cluster.processes.process import Process
from ncs_cluster.specs import IntakeSpec
from ncs_cluster.types import GraphName
from tests.frigate_plugin import Plain
from tests.needs import need_module

need_module("zmq")

WAIT_S = 30.0
FRAME = np.zeros((1, 8, 8, 3), np.uint8)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "ncs_cluster.processes.frigate", "--socket", str(folder / "run" / "place"), *options]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def supervisor(place: Path) -> Iterator[Process]:
    """The process as its supervisor has it, from Hello on; at the end the supervisor vanishes."""
    until_s, process = time.monotonic() + WAIT_S, None
    while process is None:
        assert time.monotonic() < until_s, "nobody waits there"
        process = resident.found(Endpoint("intake", "frigate"), place)
        time.sleep(0.02)
    try:
        assert isinstance(received(process, m.Hello), m.Hello)
        yield process
    finally:
        process.channel.close()
        process.release()


def received(process: Process, kind: type[Any]) -> Any:
    """The next message of a kind; heartbeats and others are passed over."""
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        select.select([process.channel.fileno()], [], [], 1.0)
        message = process.channel.receive_message()
        if message is not None and isinstance(message, kind):
            return message
    raise TimeoutError(f"no {kind.__name__}")


def ended(process: Process) -> None:
    """Wait for the end of the channel."""
    with pytest.raises(EOFError):
        received(process, type(None))


def serve(folder: Path, **options: Any) -> m.ServeIntake:
    endpoint = f"ipc://{folder}/detector"
    return m.ServeIntake(IntakeSpec("frigate", {"endpoint": endpoint, **options}, endpoint))


@pytest.mark.slow
def test_it_serves_before_the_first_supervisor_and_outlives_each(tmp_path: Path) -> None:
    place, endpoint = tmp_path / "run" / "place", f"ipc://{tmp_path}/detector"
    place.parent.mkdir()
    with served(tmp_path, "--endpoint", endpoint, "--stay", "yes") as process:
        clients: list[Plain] = []
        waiting = threading.Thread(target=lambda: clients.append(Plain(endpoint, "small")))
        waiting.start()
        with supervisor(place) as attached:
            assert attached.pid == process.pid
            attached.channel.send(serve(tmp_path, keep_s=0.0))
            assert received(attached, m.IntakeReady).address == endpoint
            received(attached, m.OpenIntake)
            attached.channel.send(m.Served([m.ServedGraph(GraphName("small"), "ssd", {}, 8, 8)], 1))
            waiting.join(WAIT_S)
            (client,) = clients
            assert not client.detect_raw(FRAME).any()
            (told,) = received(attached, m.ClientsSeen).clients
            assert (told.name, told.handshakes) == ("local small", 1)
            attached.channel.send(m.Stop())
            ended(attached)
        # the runtime directory of a service is removed with the service
        place.unlink()
        with supervisor(place) as attached:
            attached.channel.send(serve(tmp_path))
            assert received(attached, m.IntakeReady).address == endpoint
        with supervisor(place) as attached:
            assert attached.pid == process.pid
            # a supervisor that sends what is no message is let go, and the next one is not
            attached.channel.sock.send(b"\xc1")
            ended(attached)
        with supervisor(place):
            assert client.handshakes == 1
            assert not client.detect_raw(FRAME).any()
            client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == -signal.SIGTERM


def test_it_ends_in_time_after_a_stop_and_takes_its_socket_with_it(tmp_path: Path) -> None:
    place = tmp_path / "run" / "place"
    place.parent.mkdir()
    with served(tmp_path, "--endpoint", f"ipc://{tmp_path}/detector") as process:
        with supervisor(place) as attached:
            attached.channel.send(serve(tmp_path, keep_s=0.0))
            received(attached, m.IntakeReady)
            attached.channel.send(m.Stop())
            ended(attached)
        assert process.wait(WAIT_S) == 0
        assert not place.exists()


def test_it_ends_with_its_supervisor_where_it_shall_not_stay(tmp_path: Path) -> None:
    place = tmp_path / "run" / "place"
    place.parent.mkdir()
    with served(tmp_path, "--endpoint", f"ipc://{tmp_path}/detector") as process:
        with supervisor(place) as attached:
            attached.channel.send(serve(tmp_path, keep_s=0.0))
            received(attached, m.IntakeReady)
        assert process.wait(WAIT_S) == 0


def test_a_caller_that_is_no_supervisor_does_not_take_the_place_of_one(tmp_path: Path) -> None:
    place = tmp_path / "run" / "place"
    place.parent.mkdir()
    with served(tmp_path, "--endpoint", f"ipc://{tmp_path}/detector"), supervisor(place) as attached:
        attached.channel.send(serve(tmp_path))
        received(attached, m.OpenIntake)
        with pytest.raises(FileExistsError):
            resident.listen(place)
        with supervisor(place) as garbled:
            garbled.channel.sock.send(b"\xc1")
            ended(garbled)
        with supervisor(place) as stopping:
            stopping.channel.send(m.Stop())
            ended(stopping)
        for _ in range(3):
            assert isinstance(received(attached, m.Heartbeat), m.Heartbeat)


def test_a_second_supervisor_is_refused_and_takes_it_over_once_the_first_has_gone(tmp_path: Path) -> None:
    place = tmp_path / "run" / "place"
    place.parent.mkdir()
    with served(tmp_path, "--endpoint", f"ipc://{tmp_path}/detector"):
        with supervisor(place) as first:
            first.channel.send(serve(tmp_path))
            received(first, m.OpenIntake)
            with supervisor(place) as second:
                second.channel.send(serve(tmp_path))
                why = f"{place} is in use by the daemon of process {os.getpid()}: stop that one, or set another frigate.socket"
                assert received(second, m.InUse) == m.InUse(why)
                for _ in range(2):
                    received(first, m.Heartbeat)
        with supervisor(place) as second:
            second.channel.send(serve(tmp_path))
            received(second, m.OpenIntake)


def test_a_second_one_at_the_same_place_ends_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with resident.listen(tmp_path / "run" / "place"), served(tmp_path, "--endpoint", f"ipc://{tmp_path}/detector") as second:
        assert second.wait(WAIT_S) == 1
    assert f"place: process {os.getpid()} serves it already" in (tmp_path / "log").read_text()


def test_options_that_cannot_be_served_are_told_to_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with served(tmp_path) as process, supervisor(tmp_path / "run" / "place") as attached:
        attached.channel.send(serve(tmp_path / "gone"))
        failed = received(attached, m.Failed)
        assert failed.permanent
        assert "gone/detector cannot be bound: No such file" in failed.detail
        assert process.wait(WAIT_S) == 1


def test_a_message_that_does_not_end_costs_its_connection_and_not_the_machines_memory(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    part, largest, refused = bytes(32 * 1024 * 1024), 0, False
    with served(tmp_path, "--endpoint", f"ipc://{tmp_path}/detector", "--stay", "yes") as process:
        with zmtp(tmp_path / "detector") as peer:
            while not refused and largest <= 2 * MOST_MEMORY:
                try:
                    # a long frame with more to come
                    peer.sendall(b"\x03" + struct.pack(">Q", len(part)))
                    peer.sendall(part)
                except OSError:
                    refused = True
                largest = max(largest, resident_bytes(process.pid))
        assert (refused, largest <= MOST_MEMORY) == (True, True)
        assert answered(f"ipc://{tmp_path}/detector") == bytes(480)


def answered(endpoint: str) -> Any:
    """The answer to one frame."""
    import zmq

    with zmq.Context() as context, context.socket(zmq.REQ) as sock:
        sock.set(zmq.LINGER, 0)
        sock.set(zmq.RCVTIMEO, int(WAIT_S * 1000))
        sock.connect(endpoint)
        sock.send_multipart([b'{"shape": [1, 8, 8, 3], "dtype": "uint8"}', FRAME.tobytes()])
        return sock.recv()


@contextmanager
def zmtp(place: Path) -> Iterator[socket.socket]:
    """A connection to a ROUTER without the library, which sends no message before it is whole: ZMTP 3, mechanism NULL."""
    until_s = time.monotonic() + WAIT_S
    with socket.socket(socket.AF_UNIX) as sock:
        while sock.connect_ex(str(place)):
            assert time.monotonic() < until_s, "nobody listens there"
            time.sleep(0.02)
        ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
        sock.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        sock.sendall(bytes([4, len(ready)]) + ready)
        yield sock


def resident_bytes(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")

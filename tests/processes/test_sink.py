"""A real sink process, spoken to as the supervisor speaks to it, killed when it suits least."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from ncs_cluster.ipc.channel import Channel, pair
from ncs_cluster.messages import Acked, Failed, FromSink, Heartbeat, Hello, OpenSink, SinkBlocked, SinkOpened, Stop, Write
from ncs_cluster.specs import SinkSpec
from ncs_cluster.testing.children import Child, running, start_child

SINK = "ncs_cluster.processes.sink"


def lines(path: Path) -> list[str]:
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return text.splitlines()


def acked(child: Child, number: int) -> int:
    """Wait until the record is acknowledged; returns the offset."""
    while True:
        message = child.expect(Acked)
        if message.number >= number:
            return message.offset


def test_records_are_lines_in_the_order_given_and_stop_writes_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with running(SINK, FromSink) as child:
        assert isinstance(child.receive(), Hello)
        child.send(OpenSink(SinkSpec(str(path))))
        assert child.expect(SinkOpened) == SinkOpened(written=0, offset=0)
        for number in range(100):
            child.send(Write(number, b'{"n":%d}' % number))
        child.send(Stop())
        assert [said for said in child.drain() if isinstance(said, Acked)][-1] == Acked(99, path.stat().st_size)
        assert child.process.wait(10) == 0
    assert lines(path) == [f'{{"n":{number}}}' for number in range(100)]


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_written_twice(tmp_path: Path, seed: int) -> None:
    """The supervisor's part: keep what is not acknowledged, and after a death send again what was not found in the file."""
    chance = random.Random(seed)
    path = tmp_path / "out.jsonl"
    total, number, offset, deaths = 400, 0, None, 0
    unacked: deque[Write] = deque()

    def hear(child: Child, timeout_s: float) -> None:
        nonlocal offset
        message = child.receive(timeout_s)
        if isinstance(message, Acked):
            offset = message.offset
            while unacked and unacked[0].number <= message.number:
                unacked.popleft()

    while number < total or unacked:
        child = start_child(SINK, FromSink)
        try:
            child.send(OpenSink(SinkSpec(str(path)), offset))
            opened = child.expect(SinkOpened)
            for _ in range(opened.written):
                unacked.popleft()
            offset = opened.offset
            for write in unacked:
                child.send(write)
            life = chance.randrange(10, 150)
            while (number < total and life > 0) or (unacked and life > 0):
                if number < total and len(unacked) < 64:
                    unacked.append(Write(number, f'{{"n":{number},"pad":"{"x" * chance.randrange(300)}"}}'.encode()))
                    child.send(unacked[-1])
                    number += 1
                    life -= 1
                if chance.random() < 0.3 or len(unacked) >= 64 or number == total:
                    hear(child, 10)
        finally:
            child.process.send_signal(signal.SIGKILL)
            child.process.wait()
            deaths += 1
        # what was acknowledged before the death counts, as it does for the supervisor, which drains the channel
        try:
            while True:
                hear(child, 10)
        except EOFError:
            child.channel.close()
    assert deaths >= 3
    assert [line.split(",")[0] for line in lines(path)] == [f'{{"n":{each}' for each in range(total)]


def test_a_full_disk_is_told_once_and_all_is_written_when_there_is_room_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with running(SINK, FromSink) as child:
        child.send(OpenSink(SinkSpec(str(path))))
        child.expect(SinkOpened)
        _, hard = resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (25, hard))
        for number in range(5):
            child.send(Write(number, b'{"n":%d,"x":0}' % number))
        assert child.expect(SinkBlocked).detail == "File too large"
        assert lines(path) == ['{"n":0,"x":0}']
        child.expect(Heartbeat)
        resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert child.expect(SinkBlocked) == SinkBlocked(None)
        assert acked(child, 4) == path.stat().st_size
        assert [said.detail for said in child.heard if isinstance(said, SinkBlocked)] == ["File too large", None]
    assert lines(path) == [f'{{"n":{number},"x":0}}' for number in range(5)]


def test_a_device_without_room_blocks_and_the_process_lives_on() -> None:
    with running(SINK, FromSink) as child:
        child.send(OpenSink(SinkSpec("/dev/full")))
        child.expect(SinkOpened)
        child.send(Write(0, b"{}"))
        assert child.expect(SinkBlocked).detail == "No space left on device"
        child.expect(Heartbeat)
        child.expect(Heartbeat)


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with running(SINK, FromSink) as child:
        child.send(OpenSink(SinkSpec(str(tmp_path))))
        failed = child.expect(Failed)
        assert "cannot be written: Is a directory" in failed.detail
        assert failed.permanent
        assert child.process.wait(10) == 1


def to_standard_output(stdout: int) -> Child:
    ours, theirs = pair()
    with theirs:
        command = [sys.executable, "-m", SINK, "--channel", str(theirs.fileno()), "--parent", str(os.getpid())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=stdout)
    child = Child(process, Channel(ours, FromSink))
    child.send(OpenSink(SinkSpec("-")))
    child.expect(SinkOpened)
    return child


def test_results_on_standard_output_are_lines_and_nothing_else() -> None:
    readable, writable = os.pipe()
    child = to_standard_output(writable)
    os.close(writable)
    child.send(Write(0, b'{"n":0}'))
    child.send(Write(1, b'{"n":1}'))
    child.send(Stop())
    assert child.process.wait(10) == 0
    with os.fdopen(readable, "rb") as pipe:
        assert pipe.read() == b'{"n":0}\n{"n":1}\n'
    child.channel.close()


def test_when_nobody_reads_standard_output_any_more_it_ends_for_good() -> None:
    readable, writable = os.pipe()
    child = to_standard_output(writable)
    os.close(writable)
    os.close(readable)
    child.send(Write(0, b"{}"))
    assert child.expect(Failed).permanent
    assert child.process.wait(10) == 1
    child.channel.close()

"""Starts the programs of a mode, gives them work, and ends them. See measure.Session."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import DecodeError

from ncs_cluster import file_descriptors
from ncs_cluster.cli.bench.load import watch
from ncs_cluster.cli.bench.modes import Mode
from ncs_cluster.cli.bench.report import Heat
from ncs_cluster.cli.bench.results import Results, parsed
from ncs_cluster.cli.bench.sticks import Sticks
from ncs_cluster.cli.bench.summary import SustainedRun
from ncs_cluster.errors import ProtocolError, StickError
from ncs_cluster.ipc.channel import Channel, pair
from ncs_cluster.messages.bench import Done, FromBench, OpenCluster, OpenDevices, Pictures, Ready, Temperatures, Work
from ncs_cluster.messages.child import Failed, Hello, Stop
from ncs_cluster.processes.bench import picture_numbers
from ncs_cluster.processes.spawn import environment
from ncs_cluster.specs import GraphSpec, RuntimeSpec

PLAIN, CLUSTER = "ncs_cluster.processes.bench.plain", "ncs_cluster.api.bench"
CLUSTER_LOG = "cluster.log"
END_S = 15.0
"""Longest wait for a program that was told to stop; then it is killed."""


class Setup(NamedTuple):
    """What all modes have in common."""

    folder: Path
    """For the files of the programs; emptied afterwards."""
    pictures: Pictures
    graph: GraphSpec
    named: str
    """The graph as the command line names it."""
    sticks: Sticks
    runtime: RuntimeSpec
    """The interpreter of programs that drive devices themselves."""
    settings: Mapping[str, str]
    """Settings of the cluster, beside its sticks."""
    config: str | None


class _Program:
    """A started process and the channel to it."""

    def __init__(self, module: str, python: str, env: Mapping[str, str], log: Path) -> None:
        """Raises StickError where it cannot be started."""
        ours, theirs = pair()
        with theirs, log.open("ab") as output:
            command = [
                python,
                "-m",
                module,
                "--channel",
                str(theirs.fileno()),
                "--parent",
                str(os.getpid()),
                "--log-level",
                "warning",
            ]
            try:
                self._process = subprocess.Popen(
                    command,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=dict(env),
                    # a terminal's Ctrl-C is for the command alone
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise StickError("open", f"{python} cannot be started: {error.strerror}") from error
        self.channel: Channel[Any] = Channel(ours, FromBench)
        self._log = log

    def send(self, message: object, *fds: int) -> None:
        try:
            self.channel.send(message, *fds)
        except BrokenPipeError as error:
            self.receive()
            raise StickError("gone", "the program has closed its channel") from error

    def receive(self) -> Ready | Done | Temperatures | None:
        """The next message but Hello, for which None is returned. Raises StickError where the program fails."""
        try:
            received = self.channel.receive()
        except (EOFError, ProtocolError) as error:
            raise StickError("gone", f"the program has ended unexpectedly: {self._last_line()}") from error
        assert received is not None
        if isinstance(received.message, Failed):
            raise StickError(received.message.reason, received.message.detail)
        return None if isinstance(received.message, Hello) else received.message

    def wait_ready(self) -> None:
        while not isinstance(self.receive(), Ready):
            pass

    def stop(self) -> None:
        """Wait until its devices are closed."""
        try:
            self.channel.send(Stop())
            self._process.wait(END_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.channel.close()

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n") if self._log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it has left no message")


class ProgramSession:
    """See measure.Session."""

    def __init__(self, folder: Path, programs: Sequence[_Program]) -> None:
        self._folder, self._programs = folder, programs
        self._works = 0

    def work(self, count: int) -> Callable[[], Results]:
        fd = picture_numbers.create(count)
        try:
            files = self._begin(None, fd)
            self._until_done(lambda heat: None)
        finally:
            file_descriptors.close([fd])
        return lambda: _read(files)

    def sustain(self, mode: str, devices: int, seconds: float) -> SustainedRun:
        """Work for `seconds`."""
        load = watch()
        temperatures: list[Heat] = []
        began_s, began_at = time.monotonic(), time.time()
        files = self._begin(seconds)
        self._until_done(lambda message: temperatures.append(Heat(round(time.monotonic() - began_s, 2), message.celsius)))
        return SustainedRun(mode, devices, seconds, began_at, _read(files), temperatures, load())

    def _begin(self, seconds: float | None, *fds: int) -> list[Path]:
        self._works += 1
        files = [self._folder / f"results-{self._works}-{at}" for at in range(len(self._programs))]
        for program, file in zip(self._programs, files, strict=True):
            program.send(Work(os.fspath(file), seconds), *fds)
        return files

    def _until_done(self, warmed: Callable[[Temperatures], None]) -> None:
        waiting = {program.channel.fileno(): program for program in self._programs}
        while waiting:
            for fd in select.select(list(waiting), [], [])[0]:
                message = waiting[fd].receive()
                if isinstance(message, Done):
                    del waiting[fd]
                elif isinstance(message, Temperatures):
                    warmed(message)


def _read(files: Sequence[Path]) -> Results:
    try:
        return parsed(line for file in files for line in file.read_bytes().splitlines())
    except (OSError, DecodeError) as error:
        raise StickError("protocol", f"the results of a program cannot be read: {error}") from error


@contextmanager
def started(setup: Setup, mode: Mode, devices: int) -> Iterator[ProgramSession]:
    """The programs of a mode, ready. They are killed where the block ends by an exception. Raises NcsClusterError."""
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(dir=setup.folder)))
        openings = _openings(setup, mode, devices, folder)
        programs: list[_Program] = []
        in_turn = any(stick.exclusive_boot for each in openings if isinstance(each, OpenDevices) for stick in each.sticks)
        for opening in openings:
            program = _program(setup, opening, folder)
            ends.callback(program.kill)
            programs.append(program)
            program.send(opening)
            if in_turn:
                program.wait_ready()
        if not in_turn:
            for program in programs:
                program.wait_ready()
        yield ProgramSession(folder, programs)
        for program in programs:
            program.stop()


def _openings(setup: Setup, mode: Mode, devices: int, folder: Path) -> list[OpenDevices | OpenCluster]:
    """The first message of each program."""
    if mode.plain is None:
        settings = {**setup.settings, **setup.sticks.settings(devices)}
        return [OpenCluster(setup.pictures, setup.named, devices, settings, setup.config, os.fspath(folder / CLUSTER_LOG))]
    sticks = iter(setup.sticks.alone(sum(mode.plain(devices))))
    return [
        OpenDevices(setup.pictures, list(islice(sticks, count)), [setup.graph], setup.sticks.time_scale)
        for count in mode.plain(devices)
    ]


def _program(setup: Setup, opening: OpenDevices | OpenCluster, folder: Path) -> _Program:
    log = folder / "program.log"
    if isinstance(opening, OpenDevices):
        return _Program(PLAIN, setup.runtime.python, environment(setup.runtime, setup.folder), log)
    # the cluster reads its settings from the environment too
    settings = {name: value for name, value in os.environ.items() if name.startswith("NCS_CLUSTER_")}
    env = {**environment(RuntimeSpec(sys.executable), setup.folder), **settings}
    return _Program(CLUSTER, sys.executable, env, log)

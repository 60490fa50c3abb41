"""Starts the programs of a mode, gives them work, and ends them. See measure.Session."""

from __future__ import annotations

import os
import select
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from msgspec import DecodeError

from ncs_cluster import file_descriptors
from ncs_cluster.cli.bench import results
from ncs_cluster.cli.bench.load import watch
from ncs_cluster.cli.bench.modes import Mode
from ncs_cluster.cli.bench.program import Program
from ncs_cluster.cli.bench.report import Heat
from ncs_cluster.cli.bench.results import Results
from ncs_cluster.cli.bench.sticks import Sticks
from ncs_cluster.cli.bench.summary import SustainedRun
from ncs_cluster.errors import StickError
from ncs_cluster.messages.bench import Done, OpenCluster, OpenDevices, Pictures, Temperatures, Work
from ncs_cluster.processes.bench import picture_numbers
from ncs_cluster.processes.spawn import environment
from ncs_cluster.specs import GraphSpec, RuntimeSpec

PLAIN, CLUSTER = "ncs_cluster.processes.bench.plain", "ncs_cluster.api.bench"
T = TypeVar("T")
Opening = OpenDevices | OpenCluster
"""The first message of a program."""

CLUSTER_LOG = "cluster.log"


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


class ProgramSession:
    """See measure.Session."""

    def __init__(self, folder: Path, programs: Sequence[Program]) -> None:
        self._folder, self._programs = folder, programs
        self._works = 0

    def work(self, count: int) -> Callable[[], Results]:
        fd = picture_numbers.create(count)
        try:
            files = self._begin(None, fd)
            self._until_done(lambda heat: None)
        finally:
            file_descriptors.close([fd])
        return lambda: _read(files, results.parsed)

    def sustain(self, mode: str, devices: int, seconds: float) -> SustainedRun:
        """Work for `seconds`."""
        load = watch()
        temperatures: list[Heat] = []
        began_s, began_at = time.monotonic(), time.time()
        files = self._begin(seconds)
        self._until_done(lambda message: temperatures.append(Heat(round(time.monotonic() - began_s, 2), message.celsius)))
        ends_s = [end - began_at for end in _read(files, results.ends)]
        return SustainedRun(mode, devices, seconds, ends_s, temperatures, load())

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


def _read(files: Sequence[Path], by: Callable[[Iterable[bytes]], T]) -> T:
    """The lines of all files, read by a function of results."""
    try:
        with ExitStack() as opened:
            lines = [opened.enter_context(file.open("rb")) for file in files]
            return by(line.rstrip(b"\n") for each in lines for line in each)
    except (OSError, DecodeError) as error:
        raise StickError("protocol", f"the results of a program cannot be read: {error}") from error


def started(setup: Setup, mode: Mode, devices: int) -> AbstractContextManager[ProgramSession]:
    """See measure.Start. Waits for sticks that were closed just now."""
    folder = Path(tempfile.mkdtemp(dir=setup.folder))
    return _running(setup, _openings(setup, mode, devices, folder), folder)


@contextmanager
def _running(setup: Setup, openings: Sequence[Opening], folder: Path) -> Iterator[ProgramSession]:
    """The programs, ready. They are killed where the block ends by an exception. Raises NcsClusterError."""
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        programs: list[Program] = []
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


def _openings(setup: Setup, mode: Mode, devices: int, folder: Path) -> list[Opening]:
    """The first message of each program."""
    if mode.plain is None:
        settings = {**setup.settings, **setup.sticks.settings(devices)}
        return [OpenCluster(setup.pictures, setup.named, devices, settings, setup.config, os.fspath(folder / CLUSTER_LOG))]
    sticks = iter(setup.sticks.alone(sum(mode.plain(devices))))
    return [
        OpenDevices(setup.pictures, list(islice(sticks, count)), [setup.graph], setup.sticks.time_scale)
        for count in mode.plain(devices)
    ]


def _program(setup: Setup, opening: Opening, folder: Path) -> Program:
    log = folder / "program.log"
    if isinstance(opening, OpenDevices):
        return Program(PLAIN, setup.runtime.python, environment(setup.runtime, setup.folder), log)
    # the cluster reads its settings from the environment too
    settings = {name: value for name, value in os.environ.items() if name.startswith("NCS_CLUSTER_")}
    # its sockets go with the folder, also when it is killed
    place = {"XDG_RUNTIME_DIR": os.fspath(setup.folder)}
    env = {**environment(RuntimeSpec(sys.executable), setup.folder), **settings, **place}
    return Program(CLUSTER, sys.executable, env, log)

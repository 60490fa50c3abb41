"""The order of the runs, and what is timed of each. Pure but for the clock and the sessions that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import NamedTuple, Protocol

from ncs_cluster.cli.bench.load import Load
from ncs_cluster.cli.bench.modes import Mode
from ncs_cluster.cli.bench.results import Results
from ncs_cluster.errors import NcsClusterError


class Session(Protocol):
    """The started programs of one mode. Their devices are open and have answered a picture."""

    def work(self, count: int) -> Callable[[], Results]:
        """Returns when results of the pictures 0 to `count` - 1 are written; reading them is not measured."""


class Start(Protocol):
    def __call__(self, mode: Mode, devices: int) -> AbstractContextManager[Session]:
        """Returns when the devices are there. Entering what it returns starts the programs, leaving it ends them. Both raise
        NcsClusterError where a device is not there, cannot be opened, or does not work."""


class Run(NamedTuple):
    """One mode, started once."""

    mode: str
    devices: int
    start_s: float
    work_s: list[float]
    """Of each count."""
    load: Load
    results: Results
    """Of the greatest count."""


class FailedRun(NamedTuple):
    mode: str
    devices: int
    error: str


class Plan(NamedTuple):
    modes: Sequence[Mode]
    devices: Sequence[int]
    counts: Sequence[int]
    """Ascending."""
    repeats: int

    def pairs(self) -> list[tuple[Mode, int]]:
        """Every mode with every number of devices, in the order of the table."""
        return [(mode, each) for mode in self.modes for each in ([1] if mode.one_device else self.devices)]


Watch = Callable[[], Callable[[], Load]]
"""See load.watch."""


def runs(plan: Plan, start: Start, clock: Callable[[], float], watch: Watch) -> Iterator[Run | FailedRun]:
    """Every pair once in each repeat, so that what disturbs the machine for a while disturbs all of them; each repeat begins with
    another pair. Before the first one its pair is started once without being measured: libraries and graph are read from disk then.
    A pair that has failed is not tried again."""
    pairs, failed = plan.pairs(), set[tuple[Mode, int]]()
    with suppress(NcsClusterError), start(*pairs[0]):
        pass
    for repeat in range(plan.repeats):
        first = repeat % len(pairs)
        for pair in pairs[first:] + pairs[:first]:
            if pair in failed:
                continue
            try:
                yield _run(*pair, plan.counts, start, clock, watch)
            except NcsClusterError as error:
                failed.add(pair)
                yield FailedRun(pair[0].name, pair[1], str(error))


def _run(mode: Mode, devices: int, counts: Sequence[int], start: Start, clock: Callable[[], float], watch: Watch) -> Run:
    programs = start(mode, devices)
    load, began_s = watch(), clock()
    with programs as session:
        start_s = clock() - began_s
        work_s = []
        for count in counts:
            began_s = clock()
            read = session.work(count)
            work_s.append(clock() - began_s)
        results = read()
    return Run(mode.name, devices, start_s, work_s, load(), results)

"""A job whose writer is killed again and again: `python -m tests.sinks.killed_job KIND FOLDER FRAMES SEED`.

The writer is a process of its own (forked here, where one thread runs). It goes on from the newest token that it synced and told,
as a ledger keeps it, until all records are written and the results are finished. Prints how many writers were killed while they
wrote, and how many while they finished.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from ncs_cluster.types import Record
from tests.sinks.onejob import job, need_form, record, takes_features

SHARD = 40
FAILS = 7
"""Every so many frames one fails, and is retried at the end."""
MOST_TOLD = 12
"""A writer is killed after it has told its ledger up to so many times."""
WRITING_S = 0.004
"""The longest wait before the kill of a writer that writes."""
FIRST_S, STEP_S = 0.00002, 0.0007
"""When the first writer that finishes is killed, and how much later each further one."""
EACH = 20
"""Kills of each kind, at most."""


class Ledger(msgspec.Struct):
    """What the job notes behind a sync."""

    written: int = 0
    """Of `plan`."""
    token: bytes | None = None
    finished: bool = False


def plan(kind: str, frames: int) -> list[Record]:
    """The records of the job: all frames, then a retry of those that failed, of which one in two fails again."""
    features = takes_features(kind)
    first = [record(frame, features, failed=frame % FAILS == 3) for frame in range(frames)]
    retry = [record(frame, features, failed=frame % (2 * FAILS) == 3) for frame in range(frames) if frame % FAILS == 3]
    return first + retry


def write(
    kind: str, folder: Path, frames: int, ledger: Ledger, tell: Callable[[Ledger], object], ends_s: float | None = None
) -> None:
    """One life of the writer: until all records are written, or, where they are, until the results are finished. `ends_s`: when its
    own timer kills it, from the moment at which it begins to finish; a form may finish faster than another process can act."""
    records = plan(kind, frames)
    sink = job(kind, folder, **({} if kind == "yolo" else {"shard_size": SHARD}))
    opened = sink.open(ledger.written, ledger.token)
    ledger.token = opened.token
    tell(ledger)
    for number in range(opened.next, len(records)):
        ledger.token = sink.write(records[number])
        ledger.written = number + 1
        if number % 5 == 0 or ledger.written == len(records):
            sink.sync()
            tell(ledger)
    if opened.next == len(records):
        if ends_s is not None:
            signal.setitimer(signal.ITIMER_REAL, ends_s)
        sink.finish()
        signal.setitimer(signal.ITIMER_REAL, 0)
        ledger.finished = True
        tell(ledger)


def one_life(
    kind: str, folder: Path, frames: int, ledger: Ledger, after: tuple[int, float] | None, ends_s: float | None = None
) -> Ledger:
    """What is known after a writer that is killed when it has told its ledger so many times and a time has passed, or by its own
    timer, or that ends."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            write(kind, folder, frames, ledger, lambda now: os.write(write_fd, msgspec.json.encode(now) + b"\n"), ends_s)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write_fd)
    with open(read_fd, "rb") as told:
        lines: list[bytes] = []
        if after is not None:
            lines += [told.readline() for _ in range(after[0])]
            time.sleep(after[1])
            os.kill(pid, signal.SIGKILL)
        lines += told.readlines()
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, -signal.SIGKILL, -signal.SIGALRM):
        raise SystemExit("the writer failed")
    whole = [line for line in lines if line.endswith(b"\n")]
    return msgspec.json.decode(whole[-1], type=Ledger) if whole else ledger


def main() -> None:
    kind, folder, frames, chance = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), random.Random(int(sys.argv[4]))
    # imported once: a writer's time goes into writing
    need_form(kind)
    ledger, writing, finishing, total = Ledger(), 0, 0, len(plan(kind, frames))
    while not ledger.finished:
        writes = ledger.written < total
        before, kill = ledger, (writing if writes else finishing) < EACH
        after = (chance.randrange(MOST_TOLD), chance.random() * WRITING_S) if writes and kill else None
        ends_s = FIRST_S + finishing * STEP_S if kill and not writes else None
        ledger = one_life(kind, folder, frames, ledger, after, ends_s)
        if not ledger.finished:
            writing, finishing = (writing + 1, finishing) if before.written < total else (writing, finishing + 1)
    print(writing, finishing)


if __name__ == "__main__":
    main()

"""Reading the settings again in a process: one at a time, within a limit, and an end without an answer is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import ncs_cluster
from ncs_cluster.control_messages import Setting
from ncs_cluster.processes import reloading
from ncs_cluster.processes.loop import Loop
from ncs_cluster.processes.reloading import Again, Answer, Reloading, Reread
from ncs_cluster.specs import Settings
from ncs_cluster.testing.world import installation

RUNNING = installation(1)
NEW = msgspec.structs.replace(RUNNING, notices=["new"])
SHOWN = [Setting("threshold", 0.5, "default")]


class Reader:
    """Reloading with a process that runs `program`; `argv` is what it gets."""

    def __init__(self, program: str, folder: Path) -> None:
        self.loop = Loop()
        self.read: list[tuple[Settings, tuple[str, ...]]] = []
        self.refused: list[tuple[str, str]] = []
        self.log: list[tuple[str, str]] = []
        self.folder = folder
        self.reloading = Reloading(
            Reread([sys.executable, "-c", program], [str(folder)], SHOWN),
            self.loop,
            running=lambda: RUNNING,
            read=lambda settings, clients: self.read.append((settings, clients)),
            refuse=lambda client, why: self.refused.append((client, why)),
            log=lambda level, text: self.log.append((level, text)),
        )

    def until(self, holds: Callable[[], object]) -> None:
        until_s = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < until_s
            self.loop.turn(0.1)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Callable[[str], Reader]]:
    made: list[Reader] = []

    def make(program: str) -> Reader:
        made.append(Reader(program, tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.reloading.close()
        assert each.reloading.pids() == set()


def says(answer: Answer) -> str:
    """A program that gives this answer, and keeps what it was given in the folder that is its only flag."""
    return f"""
import msgspec, pathlib, sys
data = sys.stdin.buffer.read()
folder = pathlib.Path(msgspec.msgpack.decode(data)["argv"][0])
(folder / f"given{{len(list(folder.glob('given*')))}}").write_bytes(data)
sys.stdout.buffer.write({msgspec.msgpack.encode(answer)!r})
"""


def answer(version: str = ncs_cluster.__version__, settings: object = NEW) -> Answer:
    return Answer(version, settings=msgspec.Raw(msgspec.msgpack.encode(settings)), shown=[Setting("a", 1, "--a")])


def test_what_the_process_has_read_is_handed_over_with_those_who_wait(reader: Callable[[str], Reader], tmp_path: Path) -> None:
    made = reader(says(answer()))
    made.reloading.ask("7")
    assert len(made.reloading.pids()) == 1
    made.until(lambda: made.read)
    assert (made.read, made.refused, made.log, made.reloading.pids()) == ([(NEW, ("7",))], [], [], set())
    assert made.reloading.shown == SHOWN
    made.reloading.applied()
    assert made.reloading.shown == [Setting("a", 1, "--a")]
    given = msgspec.msgpack.decode((tmp_path / "given0").read_bytes(), type=Again)
    assert given == Again([str(tmp_path)], RUNNING)


def test_what_is_asked_for_while_the_process_reads_is_read_once_more_for_all(
    reader: Callable[[str], Reader], tmp_path: Path
) -> None:
    made = reader(says(answer()))
    for client in ("1", "2", None, "3"):
        made.reloading.ask(client)
    made.until(lambda: len(made.read) == 2)
    assert made.read == [(NEW, ("1",)), (NEW, ("2", "3"))]
    assert len(list(tmp_path.glob("given*"))) == 2


def test_a_refusal_goes_to_the_log_and_to_those_who_wait(reader: Callable[[str], Reader]) -> None:
    made = reader(says(Answer(ncs_cluster.__version__, "FILE: sticks: must be a whole number")))
    made.reloading.ask("7")
    made.until(lambda: made.refused)
    assert made.refused == [("7", "FILE: sticks: must be a whole number")]
    assert made.log == [("error", "new settings are not applied: FILE: sticks: must be a whole number")]
    assert made.read == []


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import sys; sys.exit(7)", "the process that reads them has ended without an answer (exit code 7); the log says why"),
        ("import os; os.kill(os.getpid(), 9)", "the process that reads them has ended without an answer (killed by SIGKILL)"),
        (says(answer(version="0.0.1")), f"ncs_cluster 0.0.1 is installed now, {ncs_cluster.__version__} runs; restart the daemon"),
        (says(answer(settings={"pools": 3})), "another version of ncs_cluster is installed now ("),
        ("print('a library says hello')", "another version of ncs_cluster is installed now ("),
        ("print('x' * 10_000_000)", "what was read has more than 4 MB"),
    ],
)
def test_a_process_without_a_usable_answer_is_a_refusal(reader: Callable[[str], Reader], program: str, why: str) -> None:
    made = reader(program)
    made.reloading.ask("7")
    made.until(lambda: made.refused)
    assert made.read == []
    assert made.refused[0][1].startswith(why)


def test_a_process_that_hangs_is_killed_and_the_next_one_is_started(
    reader: Callable[[str], Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = reader("import time; time.sleep(100)")
    made.reloading.ask("7")
    first = made.reloading.pids()
    made.reloading.ask("8")
    made.reloading.tick(time.monotonic())
    assert (made.refused, made.reloading.pids()) == ([], first)
    made.reloading.tick(time.monotonic() + reloading.LIMIT_S)
    why = "reading them takes longer than 150 s; is a disk or a model's library hanging?"
    assert made.refused == [("7", why)]
    assert made.reloading.pids() not in (first, set())


def test_an_interpreter_that_cannot_be_started_is_a_refusal(tmp_path: Path) -> None:
    made = Reader("", tmp_path)
    made.reloading._reread = Reread([str(tmp_path / "nope")], [])
    made.reloading.ask("7")
    assert made.refused == [("7", "they cannot be read: No such file or directory; try again")]
    assert made.reloading.pids() == set()


def test_guests_are_read_after_the_reading_that_has_begun_and_leave_what_is_shown(
    reader: Callable[[str], Reader], tmp_path: Path
) -> None:
    made = reader(says(msgspec.structs.replace(answer(), shown=[])))
    given = [("mine@0123456789ab", "/state/guests/0")]
    made.reloading.ask("1")
    made.reloading.ask("2", given)
    made.reloading.ask("3")
    made.until(lambda: len(made.read) == 3)
    assert [clients for _, clients in made.read] == [("1",), ("3",), ("2",)]
    asked = [msgspec.msgpack.decode(path.read_bytes(), type=Again).guests for path in sorted(tmp_path.glob("given*"))]
    assert asked == [None, None, given]


def test_the_origin_of_settings_stays_known_when_guests_change(reader: Callable[[str], Reader]) -> None:
    made = reader(says(msgspec.structs.replace(answer(), shown=[])))
    made.reloading.ask("1", [])
    made.until(lambda: made.read)
    made.reloading.applied()
    assert made.reloading.shown == SHOWN

"""A worker that is not what it says: it can get only itself killed, and the others work on."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from ncs_cluster.specs import RuntimeSpec
from ncs_cluster.testing.daemon import Status, running, settings, sticks, synthetic
from ncs_cluster.testing.interpreter import interpreter

pytestmark = pytest.mark.slow

WIRE = """
wire = socket.socket(fileno=int(arguments["--channel"]))
wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
"""

KILLED = {
    "random bytes": "while True: wire.send(random.randbytes(random.randint(1, 4000)))",
    "a message longer than any": "wire.send(bytes(250_000)); time.sleep(600)",
    "random bytes after a good word": """
from ncs_cluster.messages import FromWorker
from ncs_cluster.processes import child
channel = child.enter("worker", FromWorker)
while True: channel.sock.send(random.randbytes(50))
""",
    "a camera's words": """
import msgspec
from ncs_cluster import messages as m
from ncs_cluster.types import FrameRef
while True:
    wire.send(msgspec.msgpack.encode(m.FrameCaptured(FrameRef("cam0", 1, 0, 5, 64, 48), 0.0, 0.0)))
""",
    "another version": """
import msgspec
from ncs_cluster.messages import Hello
wire.send(msgspec.msgpack.encode(Hello(99, os.getpid(), "3.9.0")))
time.sleep(600)
""",
}
"""What gets it killed."""

BORNE = {
    "answers nobody asked for": "channel.send(Inferred(random.randint(-9, 99), Outcome(), float('nan')))",
    "descriptors": "socket.send_fds(channel.sock, [msgspec.msgpack.encode(m.Heartbeat())], [0, 1, 2])",
    "temperatures from nowhere": "channel.send(m.Telemetry(random.choice([1e300, float('inf'), float('nan'), -300.0]), 7))",
    "opened again and again, with room for a million": "channel.send(m.StickOpened('stick', False, 1_000_000))",
    "endless names": "channel.send(m.Failed('x' * 1000, 'y' * 190_000)); channel.send(m.Phase('z' * 190_000)); time.sleep(0.05)",
    "results that barely fit": "heard = channel.receive().message; "
    "isinstance(heard, m.Infer) and channel.send(Inferred(heard.ticket, Outcome(error='e' * 199_950), 0.1))",
    "results that grow when they are written": "heard = channel.receive().message; "
    "isinstance(heard, m.Infer) and channel.send(Inferred(heard.ticket, Outcome(error=chr(0) * 49_000), 0.1))",
}
"""What is sent after it has opened its stick, as fast as it can; the daemon may bear it or end it."""

MASQUERADE = """
import msgspec
from ncs_cluster import messages as m
from ncs_cluster.messages import Inferred
from ncs_cluster.processes import child
from ncs_cluster.types import Outcome
channel = child.enter("worker", m.ToWorker)
channel.receive()
channel.send(m.StickOpened("stick", False, 2))
while True:
    time.sleep(0.001)
    {words}
"""


def works_beside(tmp_path: Path, rogue: RuntimeSpec, until_rogue: str) -> str:
    """Sticks 1 and 2 are good, 3 is the rogue: they work on untouched while it does its worst. Returns the daemon's log."""
    pool = sticks(2) + sticks(1, "rogue", first=3)
    with running(settings(tmp_path, pool, [synthetic()], runtimes={"rogue": rogue}, results=tmp_path / "results.jsonl")) as daemon:
        daemon.until(lambda status: all(stick["inferences"] > 3 for stick in status["sticks"][:2]), "works with the good sticks")
        if until_rogue == "killed":
            daemon.until(lambda status: status["sticks"][2]["restarts"] >= 2, "has ended the rogue a few times")
            daemon.until(lambda status: status["sticks"][2]["state"] in ("backoff", "quarantined"), "lets the rogue wait")
        done = daemon.status()["sticks"]
        status = daemon.until(
            lambda status: all(
                stick["inferences"] > before["inferences"] + 10 for stick, before in zip(status["sticks"], done[:2], strict=False)
            ),
            "works on",
        )
        assert [stick["restarts"] for stick in status["sticks"][:2]] == [0, 0]
        assert [status["counters"][key] for key in ("frames_lost", "frames_doubled", "out_of_order")] == [0, 0, 0]
        assert daemon.events()
        supervisor = psutil.Process(daemon.pid)
        assert supervisor.num_fds() < 60
        assert supervisor.memory_info().rss < 200e6
        assert daemon.stop() == 0
        return daemon.log.read_text()


@pytest.mark.parametrize("words", KILLED)
def test_who_talks_rubbish_is_ended_and_tried_again_ever_later(tmp_path: Path, words: str) -> None:
    """The channel's rules are few: what breaks them is no worker."""
    log = works_beside(tmp_path, interpreter(tmp_path / "rogue", WIRE + KILLED[words]), "killed")
    assert "worker sim-3: " in log


@pytest.mark.parametrize("words", BORNE)
def test_who_lies_in_proper_words_disturbs_nobody(tmp_path: Path, words: str) -> None:
    """Whether it is ended for it or not: frames, order, descriptors and memory are as they should be."""
    works_beside(tmp_path, interpreter(tmp_path / "rogue", MASQUERADE.format(words=BORNE[words])), "borne")


def test_an_interpreter_that_is_not_there_is_named_and_tried_again(tmp_path: Path) -> None:
    """The stick waits, its last error says which interpreter it was, and the others work."""
    missing = RuntimeSpec(str(tmp_path / "no" / "python3.9"))
    pool = sticks(1) + sticks(1, "missing", first=2)
    with running(settings(tmp_path, pool, [synthetic()], runtimes={"missing": missing})) as daemon:

        def told(status: Status) -> bool:
            error = status["sticks"][1]["last_error"] or ""
            named = "runtime 'missing' cannot be started" in error and "no/python3.9" in error
            reasons = any("python3.9" in reason for reason in status["daemon"]["reasons"])
            states = (status["sticks"][1]["state"], status["daemon"]["state"])
            return named and reasons and states == ("backoff", "degraded") and status["cameras"][0]["results"] > 5

        daemon.until(told, "works with the other stick, and names the interpreter")
        assert daemon.stop() == 0

"""Jobs on the sticks of a running daemon: the same outputs as with sticks of their own, beside a camera, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ncs_cluster.client import Refused
from ncs_cluster.config import graph_folder
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.jobs.schema import LedgerError
from ncs_cluster.specs import GraphSpec
from ncs_cluster.testing.daemon import Daemon, Status, running, settings, sticks, synthetic
from tests.cli import asking
from tests.jobs.making import film, picture
from tests.tied import TIED

HELP = "; ncsctl run --help says how"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_graph_by_name")]

DONE_S = 120.0


def given(folder: Path, graph: Path) -> Any:
    graphs = [graph_folder.read(graph, "small", None)]
    return settings(folder, sticks(2, latency_ms=40.0, heat=False), [synthetic(fps=10.0)], graphs=graphs)


def ncsctl(*words: str) -> subprocess.Popen[str]:
    command = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def done(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=DONE_S)
    return process.returncode, out, err


def refusals(err: str) -> list[str]:
    """What the command says besides its progress, which it tells where the machine is slow."""
    return [line for line in err.splitlines() if line.startswith("ncsctl") and not line.endswith(" ...")]


def run(daemon: Daemon, *words: str) -> subprocess.Popen[str]:
    return ncsctl("run", *words, "--graph", "small", "--attach", "--runtime-dir", os.fspath(daemon.runtime_dir))


def jobs(daemon: Daemon, *words: str) -> tuple[int, str, str]:
    ended = asking.ncsctl("jobs", *words, "--runtime-dir", os.fspath(daemon.runtime_dir), timeout_s=DONE_S)
    return ended.returncode, ended.stdout, ended.stderr


def results(out: Path) -> list[dict[str, Any]]:
    """The records without what differs from run to run."""
    lines = (out / "results.jsonl").read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    return [{key: value for key, value in each.items() if key not in ("captured_at", "latency_ms", "stick")} for each in kept]


def written(out: Path) -> int:
    """Frames that every output has; 0 also while the ledger is made."""
    try:
        return Ledger(os.fspath(out / "ledger.sqlite")).written
    except (OSError, LedgerError):
        return 0


def job(daemon: Daemon, id: str = "1") -> dict[str, Any]:
    return next(each for each in daemon.status()["jobs"] if each["id"] == id)


def until_done(daemon: Daemon, frames: int, id: str = "1") -> None:
    """So many frames of the job are done."""
    until_s = time.monotonic() + DONE_S
    while job(daemon, id)["done"] < frames:
        assert time.monotonic() < until_s
        time.sleep(0.05)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 pictures, one of them damaged, and a film of 30 frames."""
    folder = tmp_path_factory.mktemp("tree")
    for number in range(120):
        picture(folder / f"{number}.png", 2 * number)
    (folder / "60.png").write_bytes(b"no picture")
    film(folder / "z.avi", [8 * number for number in range(30)])
    return folder


@pytest.fixture(scope="module")
def reference(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The records of a job with sticks of its own."""
    out = tmp_path_factory.mktemp("reference") / "out"
    own = ("--backend", "simulated", "--sticks", "2", "--set", "simulated.latency_ms=5", "--set", "simulated.heat=false")
    code, _, err = done(ncsctl("run", os.fspath(tree), "--graph", "small", "--out", os.fspath(out), *own))
    assert code == 1, err
    return results(out)


@pytest.fixture(scope="module")
def daemon(small_graph_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(given(tmp_path_factory.mktemp("daemon"), small_graph_folder)) as started:
        started.well()
        yield started


def test_a_job_beside_a_camera_gives_what_it_gives_alone(
    daemon: Daemon, tree: Path, reference: list[dict[str, Any]], tmp_path: Path
) -> None:
    code, out, err = done(run(daemon, os.fspath(tree), "--out", os.fspath(tmp_path)))
    assert (code, refusals(err)) == (1, [])
    assert out.startswith("150 frames, 1 failed; 150 of them now")
    assert results(tmp_path) == reference
    status = daemon.status()
    ended = status["jobs"][-1]
    assert (ended["state"], ended["done"], ended["expected"], ended["failed"]) == ("done", 150, 150, 1)
    assert [camera["name"] for camera in status["cameras"]] == ["cam0"]
    assert (status["cameras"][0]["results"] > 0, status["counters"]["frames_lost"]) == (True, 0)
    # the retry goes the same way
    picture(tree / "60.png", 120)
    code, out, err = done(run(daemon, os.fspath(tree), "--out", os.fspath(tmp_path), "--retry-failed"))
    (tree / "60.png").write_bytes(b"no picture")
    assert (code, refusals(err)) == (0, [])
    assert results(tmp_path)[:60] == reference[:60]
    assert "error" not in results(tmp_path)[60]
    assert results(tmp_path)[61:] == reference[61:]


def test_a_job_is_paused_resumed_and_looked_at_again(
    daemon: Daemon, tree: Path, reference: list[dict[str, Any]], tmp_path: Path
) -> None:
    words = (os.fspath(tree), "--out", os.fspath(tmp_path))
    code, out, _ = done(run(daemon, *words, "--detach"))
    id = out.split()[1]
    assert (code, out) == (0, f"job {id} runs in ncs-clusterd: ncsctl jobs show {id}\n")
    until_done(daemon, 20, id)
    with daemon.client() as client:
        assert client.change_job(id, "pause") == f"job {id} is paused"
    before = job(daemon, id)
    assert (before["state"], before["fps"]) == ("paused", 0.0)
    assert 20 <= before["done"] < 150
    looking = run(daemon, *words)
    time.sleep(1.0)
    assert looking.poll() is None
    assert jobs(daemon, "resume", id) == (0, f"job {id} is running\n", "")
    assert done(looking)[0] == 1
    assert results(tmp_path) == reference
    code, out, _ = jobs(daemon, "show", id, "--json")
    shown = json.loads(out)
    assert (shown["state"], shown["done"], shown["formats"], shown["graph"]) == ("done", 150, ["jsonl"], "small")


def test_ctrl_c_ends_the_command_and_a_cancelled_job_is_gone_on_with_by_one_of_its_own(
    daemon: Daemon, tree: Path, reference: list[dict[str, Any]], tmp_path: Path
) -> None:
    words = (os.fspath(tree), "--out", os.fspath(tmp_path))
    before = daemon.status()["jobs"]
    looking = run(daemon, *words)
    id = str(max((int(each["id"]) for each in before), default=0) + 1)
    daemon.until(lambda status: any(each["id"] == id and each["done"] > 10 for each in status["jobs"]), "has begun")
    with daemon.client() as client:
        client.change_job(id, "pause")
    looking.send_signal(signal.SIGINT)
    code, _, err = done(looking)
    # above it are lines of progress, where the machine is slow
    assert (code, err.splitlines()[-1]) == (
        130,
        f"ncsctl run: job {id} goes on in ncs-clusterd: ncsctl jobs show {id}, ncsctl jobs cancel {id}",
    )
    assert jobs(daemon, "cancel", id)[:2] == (0, f"job {id} is cancelled\n")
    assert jobs(daemon, "resume", id) == (1, "", f"ncsctl: job {id} is cancelled\n")
    own = ("--backend", "simulated", "--sticks", "2", "--set", "simulated.latency_ms=5", "--graph", "small")
    code, out, err = done(ncsctl("run", *words, *own))
    assert (code, refusals(err)) == (1, [])
    assert not out.startswith("150 frames, 1 failed; 150 of them now"), "it began anew"
    assert results(tmp_path) == reference


def test_after_kill_9_of_the_daemon_the_next_one_goes_on(
    tree: Path, reference: list[dict[str, Any]], small_graph_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with running(given(tmp_path, small_graph_folder)) as first:
        first.well()
        looking = run(first, os.fspath(tree), "--out", os.fspath(out))
        first.until(lambda _: written(out), "has written the first records")
        first.process.kill()
        first.process.wait()
    with running(given(tmp_path, small_graph_folder)) as following:
        code, _, err = done(looking)
        assert (code, refusals(err)) == (1, [])
        assert results(out) == reference
        assert job(following)["state"] == "done"
        (ended,) = [text for text in following.story("job-1") if text.startswith("ended after ")]
        assert int(ended.split()[2]) < 150, "it began anew"


def test_a_daemon_that_starts_before_the_disk_of_its_job_waits_for_it(
    tree: Path, reference: list[dict[str, Any]], small_graph_folder: Path, tmp_path: Path
) -> None:
    out, away = tmp_path / "out", tmp_path / "away"
    with running(given(tmp_path, small_graph_folder)) as first:
        first.well()
        done(run(first, os.fspath(tree), "--out", os.fspath(out), "--detach"))
        first.until(lambda _: written(out), "has written the first records")
        first.process.kill()
        first.process.wait()
    out.rename(away)
    with running(given(tmp_path, small_graph_folder)) as following:

        def waits(status: Status) -> bool:
            return any(each["state"] == "running" and "No such file" in (each["detail"] or "") for each in status["jobs"])

        following.until(waits, "says what is missing")
        away.rename(out)
        following.until(lambda _: job(following)["state"] != "running", "has ended", DONE_S)
        assert job(following)["state"] == "done"
    assert results(out) == reference


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--graph", "faces", "--attach"), "--graph faces: the daemon has no such graph; it has: small"),
        (
            ("--graph", "small", "--attach", "--threshold", "0.1"),
            f"argument --threshold: the daemon has its own; leave it out with --attach{HELP}",
        ),
        (("--graph", "small", "--attach", "--weight", "0"), f"argument --weight: must be above 0, at most 100{HELP}"),
        (("--graph", "small", "--detach"), f"argument --detach: is for --attach{HELP}"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    daemon: Daemon, tree: Path, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    place = ("--runtime-dir", os.fspath(daemon.runtime_dir)) if "--attach" in words else ()
    code, _, err = done(ncsctl("run", os.fspath(tree), "--out", os.fspath(tmp_path / "out"), *words, *place))
    assert (code, err.splitlines()[-1].partition(": ")[2]) == (2, why)


def test_another_job_in_its_folder_and_a_job_of_another_threshold_are_refused(daemon: Daemon, tree: Path, tmp_path: Path) -> None:
    words = (os.fspath(tree), "--out", os.fspath(tmp_path))
    done(run(daemon, *words, "--detach"))
    id = daemon.status()["jobs"][-1]["id"]
    code, _, err = done(run(daemon, os.fspath(tree / "z.avi"), "--out", os.fspath(tmp_path)))
    assert code == 2
    assert "holds another job: its sources were" in err
    with daemon.client() as client, pytest.raises(Refused, match="there is no job 99"):
        client.change_job("99", "pause")
    jobs(daemon, "cancel", id)


def test_no_daemon_is_no_job(tree: Path, tmp_path: Path) -> None:
    place = ("--runtime-dir", os.fspath(tmp_path / "nowhere"))
    code, _, err = done(
        ncsctl("run", os.fspath(tree), "--graph", "small", "--out", os.fspath(tmp_path / "out"), "--attach", *place)
    )
    assert code == 2
    assert err.startswith("ncsctl run: ")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_daemon_answers_with_its_graphs(daemon: Daemon, small_graph_folder: Path) -> None:
    with daemon.client() as client:
        assert msgspec.msgpack.decode(client.graphs(), type=list[GraphSpec]) == [
            graph_folder.read(small_graph_folder, "small", None)
        ]

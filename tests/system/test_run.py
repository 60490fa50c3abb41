"""ncsctl run with real processes: every item exactly once, whatever is killed; failures with reasons; refusals in one line."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ncs_cluster.cli.ncsctl import main
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.jobs.schema import LedgerError
from tests import forked
from tests.jobs.making import film, picture
from tests.tied import TIED

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_graph_by_name")]

DONE_S = 120.0
SIMULATED = ("--backend", "simulated", "--sticks", "2", "--set", "simulated.heat=false")


def words(*arguments: str, latency_ms: float, graph: str) -> list[str]:
    return ["run", *arguments, "--graph", graph, *SIMULATED, "--set", f"simulated.latency_ms={latency_ms}"]


def command(*arguments: str, latency_ms: float = 5, graph: str = "small") -> list[str]:
    """One that runs on while the test goes on."""
    return [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", *words(*arguments, latency_ms=latency_ms, graph=graph)]


NO_INFERENCE = ("--set", "simulated.infer=false")
"""For jobs whose detections nobody looks at: their workers need no OpenVINO."""


def run(*arguments: str, latency_ms: float = 5, graph: str = "small") -> subprocess.CompletedProcess[str]:
    return forked.run(main, ["ncsctl", *words(*arguments, latency_ms=latency_ms, graph=graph)], timeout_s=DONE_S)


def written(out: Path) -> int:
    """Frames that every output has; 0 also while the ledger is made."""
    try:
        return Ledger(str(out / "ledger.sqlite")).written
    except (OSError, LedgerError):
        return 0


def wait_for(out: Path, frames: int) -> None:
    until_s = time.monotonic() + DONE_S
    while written(out) < frames:
        assert time.monotonic() < until_s
        time.sleep(0.1)


def results(out: Path) -> list[dict[str, Any]]:
    """The records without what differs from run to run."""
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in record.items() if key not in ("captured_at", "latency_ms", "stick")} for record in records
    ]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures and two films of 30 frames, all different."""
    folder = tmp_path_factory.mktemp("tree")
    for number in range(60):
        picture(folder / f"{number}.png", 4 * number)
    film(folder / "a" / "1.avi", [8 * number for number in range(30)])
    film(folder / "b.avi", [250 - 8 * number for number in range(30)])
    return folder


@pytest.fixture(scope="module")
def reference(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The records of a run that nothing interrupts."""
    out = tmp_path_factory.mktemp("reference") / "out"
    done = run(str(tree), "--out", str(out))
    assert done.returncode == 0, done.stderr
    return results(out)


def test_every_frame_has_one_record_in_the_order_of_the_items(reference: list[dict[str, Any]]) -> None:
    assert [record["frame"] for record in reference] == list(range(120))
    names = [f"{number}.png" for number in range(60)] + ["a/1.avi"] * 30 + ["b.avi"] * 30
    assert [record["item"] for record in reference] == names
    assert [record.get("item_frame") for record in reference] == [None] * 60 + [*range(30), *range(30)]
    assert [record.get("item_fps") for record in reference] == [None] * 60 + [25.0] * 60
    assert all(record["size"] == [64, 48] for record in reference)
    assert not any("error" in record for record in reference)
    answers = [json.dumps(record["detections"]) for record in reference if record["detections"]]
    assert len(set(answers[:60])) > 20, "another picture's answer would not be noticed"


@pytest.mark.parametrize("seed", range(2))
def test_after_kills_of_the_whole_job_the_same_command_gives_the_same_file(
    tree: Path, reference: list[dict[str, Any]], tmp_path: Path, seed: int
) -> None:
    chance, out = random.Random(seed), tmp_path / "out"
    for _ in range(4):
        process = subprocess.Popen(
            command(str(tree), "--out", str(out), latency_ms=30), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            process.wait(chance.uniform(1.0, 4.0))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
    done = run(str(tree), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert results(out) == reference


def kill(pid: int, victim: str) -> None:
    """Kill one process of this name below `pid`, once there is one: it may be on its way back from the kill before."""
    until_s = time.monotonic() + DONE_S
    while True:
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.name() == victim and child.status() != psutil.STATUS_ZOMBIE:
                    child.kill()
                    return
        assert time.monotonic() < until_s, f"there is no {victim}"
        time.sleep(0.05)


@pytest.mark.parametrize("victim", ["ncs-camera", "ncs-worker", "ncs-sink"])
def test_after_kills_of_one_process_the_job_goes_on(
    tree: Path, reference: list[dict[str, Any]], tmp_path: Path, victim: str
) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(command(str(tree), "--out", str(out), latency_ms=100), stderr=subprocess.PIPE, text=True)
    for frames in (5, 30):
        wait_for(out, frames)
        kill(process.pid, victim)
    _, said = process.communicate(timeout=DONE_S)
    assert process.returncode == 0, said
    assert results(out) == reference


def test_an_interrupted_job_says_how_to_go_on_and_goes_on(tree: Path, reference: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(command(str(tree), "--out", str(out), latency_ms=100), stderr=subprocess.PIPE, text=True)
    wait_for(out, 5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=DONE_S)
    assert process.returncode == 130
    assert "interrupted after " in said
    assert "the same command goes on" in said
    assert run(str(tree), "--out", str(out)).returncode == 0
    assert results(out) == reference


def test_what_cannot_be_read_is_a_record_with_its_reason_and_is_tried_again_when_asked(tmp_path: Path) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    for number in range(10):
        picture(tree / f"{number}.png", 10 * number)
    for number in (2, 5, 7):
        (tree / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    done = run(str(tree), "--out", str(out), *NO_INFERENCE)
    assert done.returncode == 1
    assert [record["frame"] for record in results(out) if "error" in record] == [2, 5, 7]
    assert "10 frames, 3 failed" in done.stdout
    assert "5.png: is corrupt or truncated" in done.stdout
    assert "--retry-failed" in done.stdout
    for number in (2, 7):
        picture(tree / f"{number}.png", 10 * number)
    again = run(str(tree), "--out", str(out), *NO_INFERENCE, "--retry-failed")
    assert again.returncode == 1
    assert "3 of them now" in again.stdout
    assert "1 failed" in again.stdout
    picture(tree / "5.png", 50)
    assert run(str(tree), "--out", str(out), *NO_INFERENCE, "--retry-failed").returncode == 0
    assert run(str(tree), "--out", str(out), *NO_INFERENCE, "--retry-failed").returncode == 0
    assert [(record["frame"], record["item"]) for record in results(out)] == [(number, f"{number}.png") for number in range(10)]
    assert not any("error" in record for record in results(out))


def test_a_strict_job_stops_at_the_first_failed_item(tmp_path: Path) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    for number in range(4):
        picture(tree / f"{number}.png", number)
    (tree / "1.png").write_bytes(b"broken")
    done = run(str(tree), "--out", str(out), *NO_INFERENCE, "--strict")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("ncsctl run: stopped at the first failed item, frame 1: 1.png: is no picture")


def test_the_same_folder_with_another_job_is_refused_with_what_differs(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    picture(tmp_path / "a.png", 1)
    picture(tmp_path / "b.png", 1)
    assert run(str(tmp_path / "a.png"), "--out", str(out), *NO_INFERENCE).returncode == 0
    for more, differs in [
        ([str(tmp_path / "b.png")], f"its sources were {tmp_path}/a.png, now {tmp_path}/b.png"),
        ([str(tmp_path / "a.png"), "--threshold", "0.3"], "the graph's threshold differs"),
        ([str(tmp_path / "a.png"), "--size", "640x480"], "its size was 1280, 720, now 640, 480"),
        ([str(tmp_path / "a.png"), "--shard", "1/2"], "its shard was 1, 1, now 1, 2"),
    ]:
        done = run(*more, "--out", str(out), *NO_INFERENCE)
        assert done.returncode == 2
        assert differs in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    again = run(str(tmp_path / "a.png"), "--out", str(out), *NO_INFERENCE)
    assert again.returncode == 0
    assert len(results(out)) == 1


def test_two_commands_do_not_work_in_one_folder(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = subprocess.Popen(command(str(tree), "--out", str(out), *NO_INFERENCE, latency_ms=2000), stdout=subprocess.DEVNULL)
    until_s = time.monotonic() + DONE_S
    while not (out / "run.log").exists():
        assert time.monotonic() < until_s
        time.sleep(0.05)
    second = run(str(tree), "--out", str(out), *NO_INFERENCE)
    first.kill()
    first.wait()
    assert second.returncode == 2
    assert "another command works in it" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nothing.jpg"], "there is no such file or folder"),
        (["rtsp://host/s"], "a stream has no end"),
        (["."], "there is no output 'xml'; known: jsonl, csv"),
    ],
)
def test_a_command_that_cannot_work_is_refused_in_one_line(tmp_path: Path, arguments: list[str], why: str) -> None:
    more = ["--format", "xml"] if arguments == ["."] else []
    done = run(*arguments, *more, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert why in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_list_from_standard_input_is_kept_so_that_the_job_goes_on_without_it(tmp_path: Path) -> None:
    for number in range(5):
        picture(tmp_path / f"{number}.png", 40 * number)
    out = tmp_path / "out"
    first = forked.run(
        main,
        ["ncsctl", *words("-", "--out", str(out), *NO_INFERENCE, "--quiet", latency_ms=5, graph="small")],
        text="".join(f"{number}.png\n" for number in (3, 1, 4)),
        cwd=tmp_path,
        timeout_s=DONE_S,
    )
    assert (first.returncode, first.stdout) == (0, "")
    assert [record["item"] for record in results(out)] == ["3.png", "1.png", "4.png"]
    assert run("-", "--out", str(out), *NO_INFERENCE).returncode == 0
    assert len(results(out)) == 3


def test_a_job_goes_on_behind_what_is_written_and_does_not_do_it_again(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(command(str(tree), "--out", str(out), *NO_INFERENCE, latency_ms=100), stdout=subprocess.DEVNULL)
    wait_for(out, 20)
    process.kill()
    process.wait()
    noted = written(out)
    assert run(str(tree), "--out", str(out), *NO_INFERENCE).returncode == 0
    assert f"job: ended after {120 - noted} frames" in (out / "run.log").read_text()


def test_a_file_that_is_no_jobs_is_not_written_over(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 1)
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.jsonl").write_text("mine\n")
    done = run(str(tmp_path / "a.png"), "--out", str(out))
    assert done.returncode == 2
    assert f"{out}/results.jsonl is there already, and no job's" in done.stderr
    assert (out / "results.jsonl").read_text() == "mine\n"


def test_a_job_without_a_stick_says_what_it_waits_for(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 1)
    (tmp_path / "sys").mkdir()
    (tmp_path / "usb-ma2x8x.mvcmd").write_bytes(artificial_firmware(40_000))
    asked = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", "run", str(tmp_path / "a.png"), "--graph", "demo"]
    asked += ["--out", str(tmp_path / "out"), "--backend", "xlink", "--set", f"discovery.sysfs={tmp_path}/sys"]
    asked += ["--state-dir", str(tmp_path / "state"), "--set", f"xlink.firmware={tmp_path}/usb-ma2x8x.mvcmd"]
    process = subprocess.Popen(asked, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    # what ends a command that never says so
    patience = threading.Timer(DONE_S, process.kill)
    patience.start()
    lines = iter(process.stderr.readline, "")
    # before the sticks are looked for it waits for other things
    said = next((line for line in lines if "0 of 1" in line and "no stick" in line), "")
    patience.cancel()
    process.kill()
    process.communicate()
    assert said

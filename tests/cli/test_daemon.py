"""The real ncs-clusterd, as far as its command line goes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ncs_cluster
from ncs_cluster.cli.daemon import main
from ncs_cluster.client import Client
from ncs_cluster.errors import NotRunning
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET
from tests import forked
from tests.conftest import ROOT
from tests.needs import need_program
from tests.tied import TIED

pytestmark = pytest.mark.slow

CLUSTERD = [*TIED, sys.executable, "-m", "ncs_cluster.cli.daemon"]
SMALL = ["--backend", "simulated", "--graph", "none", "--no-web"]


def clusterd(*argv: str) -> subprocess.CompletedProcess[str]:
    """One that ends by itself."""
    return forked.run(main, ["ncs-clusterd", *argv])


def test_help_names_every_flag_and_version_the_version() -> None:
    done = clusterd("--help")
    assert done.returncode == 0
    for flag in ("--source SPEC", "--cluster-size K", "--results FILE|-", "--listen HOST:PORT", "--set KEY=VALUE", "examples:"):
        assert flag in done.stdout
    for argv in (["--version"], ["--sticks", "2", "--version"]):
        done = clusterd(*argv)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"ncs-clusterd {ncs_cluster.__version__}\n", "")


@pytest.mark.parametrize(
    "argv",
    [
        ["--nonsense"],
        ["--sticks", "many"],
        ["--config", "/nope.toml"],
        ["--source", "/nope.mp4"],
        ["--set", "simulated.depth=0"],
        ["--source", "usb:\n\x1b[2J"],
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_78_and_nothing_has_been_started(argv: list[str], tmp_path: Path) -> None:
    done = clusterd(*SMALL, *argv, "--runtime-dir", str(tmp_path / "run"))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("ncs-clusterd: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr[:-1].isprintable()
    assert not (tmp_path / "run").exists()


def test_a_damaged_graph_is_one_line_and_exit_code_78(tmp_path: Path) -> None:
    (tmp_path / "graph.toml").write_text('model = "m.xml"\ndecoder = "ssd"\n')
    (tmp_path / "m.xml").write_text("<net")
    done = clusterd("--backend", "simulated", "--graph", str(tmp_path), "--no-web", "--runtime-dir", str(tmp_path / "run"))
    assert done.returncode == 78
    # on a slow machine it is said before that graphs are tried
    assert len([line for line in done.stderr.splitlines() if not line.endswith(" ...")]) == 1
    assert str(tmp_path / "m.xml") in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_video_is_told_once_and_ends_with_exit_code_78(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_text("no film")
    done = clusterd(*SMALL, "--source", str(film), "--runtime-dir", str(tmp_path / "run"))
    assert done.returncode == 78
    (line,) = [line for line in done.stderr.splitlines() if "is not a video" in line]
    assert line.endswith(f"ncs-clusterd: cam0: {film} is not a video that OpenCV can decode")


def test_what_is_only_worth_a_notice_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    where = ("--source", str(tmp_path / "pictures"), "--runtime-dir", str(tmp_path / "run"))
    done = clusterd("--backend", "simulated", "--no-web", *where)
    assert done.returncode == 78
    assert done.stderr.count("the demo graph knows only the synthetic scene") == 1


def test_a_name_that_is_not_utf8_is_one_line_and_exit_code_78(tmp_path: Path) -> None:
    """It could not walk over the wires."""
    film = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.mp4")
    Path(film).touch()
    done = clusterd(*SMALL, "--runtime-dir", str(tmp_path / "run"), "--source", film)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert "is not UTF-8; rename" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_window_where_there_is_no_screen_is_refused_and_not_tried_for_ever(tmp_path: Path) -> None:
    """Exit code 78; the last line says what to do."""
    env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = forked.run(main, ["ncs-clusterd", *SMALL, "--window", "--runtime-dir", str(tmp_path)], env=env)
    assert done.returncode == 78
    assert "cam0: --window: " in done.stderr.splitlines()[-1]
    assert "web page" in done.stderr.splitlines()[-1]


def test_a_second_daemon_in_the_same_place_is_refused_and_names_the_first(tmp_path: Path) -> None:
    command = [*CLUSTERD, *SMALL, "--runtime-dir", str(tmp_path)]
    with subprocess.Popen(command) as first:
        try:
            pid = first.pid
            assert wait_for(tmp_path) == pid
            done = clusterd(*SMALL, "--runtime-dir", str(tmp_path))
            assert done.returncode == 78
            assert str(pid) in done.stderr.splitlines()[-1]
        finally:
            first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 0


def test_settings_are_read_elsewhere_so_the_daemon_holds_no_library_of_theirs(tmp_path: Path) -> None:
    with subprocess.Popen([*CLUSTERD, *SMALL, "--runtime-dir", str(tmp_path)]) as daemon:
        try:
            wait_for(tmp_path)
            mapped = Path(f"/proc/{daemon.pid}/maps").read_text()
            assert "pydantic" not in mapped
            assert "numpy" not in mapped
            assert "msgspec" in mapped
        finally:
            daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0


def test_a_ctrl_c_while_its_processes_start_is_a_quiet_end(tmp_path: Path) -> None:
    """It reaches every process of the terminal, most of them before they have said a word."""
    command = [*CLUSTERD, *SMALL, "--results", str(tmp_path / "results.jsonl"), "--runtime-dir", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as daemon:
        while not (tmp_path / CONTROL_SOCKET).exists():
            assert daemon.poll() is None
            time.sleep(0.001)
        os.killpg(daemon.pid, signal.SIGINT)
        _, said = daemon.communicate(timeout=60)
    assert daemon.returncode == 0
    assert "Traceback" not in said
    assert "the first message" not in said
    assert said.splitlines()[-1].endswith("daemon: stopped")


def wait_for(runtime_dir: Path) -> int:
    """Until the daemon answers; returns its pid."""
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        try:
            with Client(runtime_dir) as client:
                return client.status().daemon.pid
        except NotRunning:
            time.sleep(0.05)
    raise AssertionError("the daemon does not answer")


def made(*given: str) -> list[list[str]]:
    """The commands of `make run` that are this project's, as words; nothing is run."""
    need_program("make", "make")
    command = ["make", "--dry-run", "run", "VENV=/nowhere", *given]
    kept = {name: value for name, value in os.environ.items() if name not in ("GRAPH", "SOURCE", "ARGS", "MAKEFLAGS")}
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True, env=kept).stdout
    lines = said.replace("\\\n", " ").splitlines()
    return [line.removeprefix("/nowhere/bin/").split() for line in lines if line.startswith("/nowhere/bin/ncs")]


def test_make_run_with_a_real_source_pulls_a_public_model_and_runs_it() -> None:
    pull, run = made("SOURCE=usb:0")
    assert pull == ["ncsctl", "graphs", "pull", "yolox_nano"]
    assert run[:5] == ["ncs-clusterd", "--source", "usb:0", "--graph", "yolox_nano"]


@pytest.mark.parametrize("given", [["GRAPH=./mine"], ["ARGS=--loop --graph ./mine"]])
def test_make_run_pulls_nothing_where_a_graph_is_named(given: list[str]) -> None:
    (run,) = made("SOURCE=film.mp4", *given)
    assert [after for word, after in itertools.pairwise(run) if word == "--graph"] == ["./mine"]


def test_make_run_alone_needs_no_network_and_is_made_of_flags_the_daemon_knows() -> None:
    ((program, *argv),) = made()
    assert program == "ncs-clusterd"
    assert "--graph" not in argv
    from ncs_cluster.config import load

    asked = load(argv, {})
    assert len(asked.sticks) == 4
    assert asked.pools[0].clusters.cluster_size == 2
    assert asked.pools[0].clusters.time_scale > 1
    assert os.sep not in "".join(argv)

"""What this user may not enter, and what cannot be a path at all, is told in one line by the real commands: never a traceback, and
for the daemon always exit code 78, at which systemd does not start it again and again."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ncs_cluster import client
from ncs_cluster.cli import daemon, ncsctl
from ncs_cluster.cli.usb.recording import Recording
from ncs_cluster.errors import NcsClusterError, NotRunning
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET
from tests import forked

CLUSTERD = ["ncs-clusterd", "--backend", "simulated"]
_PR_CAPBSET_DROP, _CAPABILITIES_3 = 24, 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
TOO_LONG = "x" * 300


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder of somebody else, as /home/pi is to the service."""
    folder = tmp_path / "closed"
    (folder / "graph").mkdir(parents=True)
    (folder / "graph" / "graph.toml").write_text('model = "m.xml"\ndecoder = "ssd"\n')
    if os.getuid() == 0:
        os.chown(folder, 65534, 65534)
    folder.chmod(0o700 if os.getuid() == 0 else 0)
    yield folder
    folder.chmod(0o700)


def enter_no_closed_folder() -> None:
    """Gives up root's right to enter everywhere, here and in what this process starts: capabilities(7), capget(2)."""
    if os.getuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    version, sets = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(version, sets) == 0
    for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
        assert libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
        # effective, permitted, inheritable
        for number in range(3):
            sets[number] &= ~(1 << capability)
    assert libc.capset(version, sets) == 0


def run(main: Callable[[], object], *words: str) -> tuple[int, str]:
    """The exit code and the only line of a command of a user who may not enter everywhere."""

    def humble() -> object:
        enter_no_closed_folder()
        return main()

    done = forked.run(humble, words)
    said = [line for line in done.stderr.splitlines() if "running as root" not in line]
    assert len(said) == 1, done.stderr
    return done.returncode, said[0]


def record() -> None:
    try:
        Recording(Path(sys.argv[1]))
    except NcsClusterError as error:
        print(error, file=sys.stderr)


def test_a_recording_overwrites_a_writable_file_in_a_folder_that_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is the next thing that is looked at: libusb, or the compiler."""
    monkeypatch.setenv("CC", "/absent/cc")
    (tmp_path / "mine").touch()
    tmp_path.chmod(0o555)
    try:
        assert "cannot be written" not in run(record, "", str(tmp_path / "mine"))[1]
        assert "cannot be written" in run(record, "", str(tmp_path / "new"))[1]
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("flag", "key"),
    [
        ("--graph={}/graph", "--graph"),
        ("--set=graphs.mine.path={}/graph", "--set graphs.mine.path"),
        ("--results={}/out.jsonl", "--results"),
        ("--state-dir={}/state", "--state-dir"),
        ("--runtime-dir={}/run", "--runtime-dir"),
        ("--token-file={}/token", "--token-file"),
        ("--config={}/ncs.toml", "ncs.toml"),
        ("--source={}/film.mp4", "--source"),
    ],
)
def test_a_place_the_daemon_may_not_enter_is_told_with_its_key(closed: Path, flag: str, key: str) -> None:
    graph = [] if "graph" in flag else ["--graph", "none"]
    code, line = run(daemon.main, *CLUSTERD, *graph, flag.format(closed))
    assert code == 78
    assert key in line
    assert "Permission denied" in line


@pytest.mark.parametrize(
    ("flag", "where"),
    [
        ("--graph", TOO_LONG),
        ("--state-dir", TOO_LONG),
        ("--source", TOO_LONG),
        ("--results", "~nobody-of-this-name/x"),
        ("--config", "~nobody-of-this-name/x"),
        ("--source", "~nobody-of-this-name/x"),
    ],
)
def test_what_cannot_be_a_path_is_told_to_who_starts_the_daemon(flag: str, where: str) -> None:
    code, line = run(daemon.main, *CLUSTERD, *([] if flag == "--graph" else ["--graph", "none"]), flag, where)
    assert code == 78
    assert "no such user" in line or "too long" in line or "there is no such file" in line


def test_a_graph_whose_folder_may_be_seen_but_not_entered_is_told(closed: Path) -> None:
    code, line = run(daemon.main, *CLUSTERD, "--graph", str(closed))
    assert (code, "Permission denied; let this user read it" in line) == (78, True)


@pytest.mark.parametrize(
    "argv",
    [
        ("graphs", "list", "--state-dir", "{}/state"),
        ("graphs", "check", "{}/graph"),
        ("graphs", "compile", "{}/graph"),
        ("graphs", "check", "~nobody-of-this-name/x"),
        ("graphs", "compile", TOO_LONG),
        ("firmware", "check", "--state-dir", "{}/state"),
        ("usb-capture", "-o", "{}/x.jsonl", "--short"),
        ("usb-capture", "-o", TOO_LONG, "--short"),
        ("usb-compare", "{}/a", "{}/b"),
    ],
)
def test_ncsctl_tells_it_in_one_line_too(closed: Path, argv: tuple[str, ...]) -> None:
    code, line = run(ncsctl.main, "ncsctl", *(each.format(closed) for each in argv))
    assert code == (2 if argv[0] == "usb-compare" else 1)
    assert line.startswith("ncsctl: ")


def test_a_user_who_is_not_in_the_services_group_is_told_to_join_it(closed: Path) -> None:
    told = subprocess.run(
        [
            *(["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []),
            sys.executable,
            "-c",
            f"import pathlib; from ncs_cluster import client; client.SERVICE_DIR = pathlib.Path({str(closed)!r}); client.Client()",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "XDG_RUNTIME_DIR": str(closed.parent), "RUNTIME_DIRECTORY": ""},
        check=False,
    )
    assert "NotRunning: no permission to use " in told.stderr
    assert "join the daemon's group" in told.stderr


def test_where_no_service_is_the_users_own_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SERVICE_DIR", tmp_path / "service")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    with pytest.raises(NotRunning, match=str(tmp_path / "ncs-cluster" / CONTROL_SOCKET)):
        client.Client()


@pytest.mark.parametrize("kind", [str, Path])
def test_a_runtime_directory_may_be_a_string_or_a_path(tmp_path: Path, kind: type) -> None:
    with pytest.raises(NotRunning, match=str(tmp_path / CONTROL_SOCKET)):
        client.Client(kind(tmp_path))


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("closed/found", "this user may not make it; choose another folder, or change the owner of its place"),
        ("file", "a file is in its place; choose another folder"),
        ("file/found", "a file is in its place; choose another folder"),
    ],
)
def test_a_jobs_folder_that_cannot_be_made_says_what_to_do(closed: Path, out: str, why: str) -> None:
    (closed.parent / "file").touch()
    closed.chmod(0o555)
    code, said = run(ncsctl.main, "ncsctl", "run", "x.jpg", "--graph", "demo", "--out", str(closed.parent / out))
    assert (code, said) == (2, f"ncsctl run: {closed.parent}/{out}: {why}")


@pytest.mark.parametrize("command", [["run", "x.jpg", "--graph", "demo"], ["merge", "x"], ["bench", "x.jpg", "--graph", "demo"]])
def test_an_empty_out_is_not_the_working_folder(tmp_path: Path, command: list[str]) -> None:
    """As of an unset variable of a script: a job would write beside everything else."""
    done = forked.run(ncsctl.main, ["ncsctl", *command, "--out", ""], cwd=tmp_path)
    assert done.returncode == 2
    own = f"ncsctl {command[0]}"
    assert done.stderr == f"{own}: argument --out: must not be empty; name a folder; {own} --help says how\n"
    assert list(tmp_path.iterdir()) == []

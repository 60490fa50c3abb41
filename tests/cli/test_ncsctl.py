"""The real ncsctl against a control socket."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ncs_cluster.cli import commands, lean, parser
from ncs_cluster.control_messages import NO_PAGE, PAGE_NOT_READY
from ncs_cluster.status import LatencyStatus, LoadStatus, PoolStatus, ShadowStatus
from ncs_cluster.testing.control import FakeControl, control, some_status

NCSCTL = [sys.executable, "-m", "ncs_cluster.cli.ncsctl"]
CPU_S = 0.08
"""What one command may cost; asserted at four times that, as a time-out."""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeControl]:
    with control(tmp_path) as fake:
        yield fake


def ncsctl(*argv: str, place: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    where = ["--runtime-dir", str(place)] if place is not None else []
    return subprocess.run(
        [*NCSCTL, *where, *argv], capture_output=True, text=True, timeout=60, env={**os.environ, **environ}, check=False
    )


def change(daemon: FakeControl, part: str, **fields: object) -> None:
    daemon.status = msgspec.structs.replace(
        daemon.status, **{part: msgspec.structs.replace(getattr(daemon.status, part), **fields)}
    )


def test_a_healthy_daemon_is_shown_in_full_and_exits_0(daemon: FakeControl, tmp_path: Path) -> None:
    done = ncsctl("status", place=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "ncs-clusterd 0.1.0  ok",
        "ring, 2 at a time: switch at 65 °C or after 10 s",
        "▶ sim-1 sim-2 · sim-3 sim-4",
        "next switch in 4 s; 7 switches so far\n  last switch at ",
        "STICK  PORT          STATE       TEMP  TO 65 °C  FPS  MS P50/P99  RESTARTS",
        "sim-1  simul…port 1  active   45.0 °C      14 s  9.9     100/103         0",
        "cam0    synthetic  running  320x240  30.0     19.8     104/111    1800      610",
        "frames lost 0, doubled 0, out of order 0, throttled 0 s",
        "CPU 18 % of 4 cores, load 0.42, memory 0.6 of 3.8 GB, 52 °C",
        "worker sim-1  101  running  0.6 %   31 MB         0",
    ):
        assert words in done.stdout
    assert "\x1b" not in done.stdout


def test_real_sticks_show_firmware_resets_and_what_their_firmware_does_about_heat(daemon: FakeControl, tmp_path: Path) -> None:
    sticks = [
        msgspec.structs.replace(
            stick,
            id=f"ncs-1-1.{at}",
            port=f"1-1.{at}",
            backend="xlink",
            firmware="2021.4",
            resets=at,
            throttle_level=at,
            name="rear" if at == 2 else None,
        )
        for at, stick in enumerate(daemon.status.sticks[:3])
    ]
    daemon.status = msgspec.structs.replace(daemon.status, sticks=sticks)
    change(daemon, "daemon", simulated=False)
    said = ncsctl("status", place=tmp_path).stdout
    assert ", backend xlink\n" in said
    assert "TO 65 °C  FPS  MS P50/P99  RESETS  RESTARTS" in said
    assert re.search(r"ncs-1-1.1  1-1.1  active   45.0 °C  slowed 1 .* 1         0\n", said)
    assert re.search(r"ncs-1-1.2  rear  .* slowed 2", said)
    assert "firmware  2021.4\n" in said
    assert max(len(line) for line in said.splitlines()) <= 80


def test_no_line_is_wider_than_80_columns(daemon: FakeControl, tmp_path: Path) -> None:
    many = some_status(sticks=40)
    daemon.status = msgspec.structs.replace(daemon.status, clusters=many.clusters, sticks=many.sticks)
    done = ncsctl("status", place=tmp_path)
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_trouble_is_told_with_its_reasons_and_exits_1(daemon: FakeControl, tmp_path: Path) -> None:
    change(daemon, "daemon", state="degraded", reasons=["1 of 4 sticks is away"])
    first = msgspec.structs.replace(
        daemon.status.sticks[0],
        state="backoff",
        temperature_c=None,
        headroom_s=None,
        restarts=3,
        last_error="stick did not\x1b[2J answer",
    )
    daemon.status = msgspec.structs.replace(daemon.status, sticks=[first, *daemon.status.sticks[1:]])
    done = ncsctl("status", place=tmp_path)
    assert done.returncode == 1
    assert "\n  1 of 4 sticks is away\n" in done.stdout
    assert re.search(r"sim-1 .* backoff +- +- .* 3\n", done.stdout)
    assert "last errors\n  sim-1: stick did not [2J answer\n" in done.stdout


def test_an_error_of_a_stick_that_works_again_is_told_as_past(daemon: FakeControl, tmp_path: Path) -> None:
    first = msgspec.structs.replace(daemon.status.sticks[0], last_error="unplugged", recovered_s=40.4)
    daemon.status = msgspec.structs.replace(daemon.status, sticks=[first, *daemon.status.sticks[1:]])
    assert "last errors\n  sim-1: recovered, 40 s ago: unplugged\n" in ncsctl("status", place=tmp_path).stdout


def test_the_time_for_which_an_ordered_source_is_read_ahead_is_called_so(daemon: FakeControl, tmp_path: Path) -> None:
    camera = msgspec.structs.replace(daemon.status.cameras[0], ordered=True, latency_ms=LatencyStatus(3433.4, 10219.0))
    daemon.status = msgspec.structs.replace(daemon.status, cameras=[camera])
    assert " 3433 ahead " in ncsctl("status", place=tmp_path).stdout


@pytest.mark.parametrize(
    ("limit_c", "celsius", "hot"),
    [(67.0, 65.5, False), (67.0, 67.0, True), (62.0, 61.9, False), (62.0, 62.5, True), (None, 65.5, True), (None, 64.5, False)],
)
def test_a_stick_is_called_hot_where_it_gets_no_frame(
    limit_c: float | None, celsius: float, hot: bool, daemon: FakeControl, tmp_path: Path
) -> None:
    stick = msgspec.structs.replace(
        daemon.status.sticks[0], temperature_c=celsius, limit_c=limit_c, throttle_level=0, headroom_c=0.7, headroom_s=None
    )
    daemon.status = msgspec.structs.replace(daemon.status, sticks=[stick])
    row = next(line for line in ncsctl("status", place=tmp_path).stdout.splitlines() if f"{celsius} °C" in line)
    assert ("  hot  " in row, " 1 K  " in row) == (hot, not hot)


def test_sticks_that_are_all_too_hot_are_told(daemon: FakeControl, tmp_path: Path) -> None:
    change(daemon, "clusters", shedding=True)
    assert "every stick is too hot: no frame is processed" in ncsctl("status", place=tmp_path).stdout
    unread = msgspec.structs.replace(daemon.status.sticks[0], state="resting", temperature_c=None)
    daemon.status = msgspec.structs.replace(daemon.status, sticks=[unread, *daemon.status.sticks[1:]])
    shown = ncsctl("status", place=tmp_path).stdout
    assert "every stick rests: no frame is processed" in shown
    assert "too hot" not in shown


@pytest.mark.parametrize(
    ("policy", "size", "told"),
    [
        ("all", 0, "all sticks are active; one that reaches 65 °C rests"),
        ("predictive", 0, "predictive: each stick works as hard as 65 °C allows"),
        ("predictive", 2, "predictive: each stick works as hard as 65 °C allows, together as hard as 2"),
        ("coolest", 0, "the coolest sticks are active, under 65 °C"),
        ("coolest", 2, "the coolest sticks are active, 2 at a time, under 65 °C"),
    ],
)
def test_each_policy_is_told_in_its_own_words(daemon: FakeControl, tmp_path: Path, policy: str, size: int, told: str) -> None:
    change(daemon, "daemon", policy=policy, cluster_size=size)
    assert f"clusters  {told}\n" in ncsctl("status", place=tmp_path).stdout


def test_what_predictive_would_do_and_what_is_unusual_about_a_sticks_heat_are_told(daemon: FakeControl, tmp_path: Path) -> None:
    shadow = ShadowStatus(True, 40.0, 65.4, 38.2, ["predictive would sustain 65/s, not 38:\x1b[2J --cluster-size costs 27/s"])
    pool = PoolStatus("default", "ring", 2, 65.0, 10.0, ["sim-1", "sim-2"], 4.2, 7, False, shadow)
    sticks = [
        msgspec.structs.replace(stick, headroom_c=20.3, sustainable_fps=15.0 + at / 10)
        for at, stick in enumerate(some_status(sticks=9).sticks)
    ]
    sticks[2] = msgspec.structs.replace(sticks[2], remarks=["cools 30 % worse than its peers"])
    daemon.status = msgspec.structs.replace(daemon.status, sticks=sticks, pools=[pool])
    said = ncsctl("status", place=tmp_path).stdout
    assert "  predictive would sustain 65/s, not 38: [2J --cluster-size costs 27/s\n" in said
    assert re.search(r"sim-1 .* active   45.0 °C  20 K, 14 s  ", said)
    assert re.search(r"sim-3 .* standby  38.0 °C        20 K  ", said)
    assert "\nsustains  sim-1 15.0/s  sim-2 15.1/s  sim-3 15.2/s  sim-4 15.3/s  sim-5 15.4/s\n          sim-6 15.5/s" in said
    assert "\n  sim-3: cools 30 % worse than its peers\n" in said
    assert max(len(line) for line in said.splitlines()) <= 80
    daemon.status = msgspec.structs.replace(daemon.status, pools=[pool, msgspec.structs.replace(pool, name="cpu", shadow=None)])
    assert "  default: predictive would sustain" in ncsctl("status", place=tmp_path).stdout


def test_sticks_that_do_not_keep_up_are_told(daemon: FakeControl, tmp_path: Path) -> None:
    said = "the cameras ask for 60/s, the sticks sustain 41/s (limited by heat)"
    load = LoadStatus(60.0, 41.0, overloaded=True, limited_by="heat", retry_after_s=1, said=said)
    daemon.status = msgspec.structs.replace(daemon.status, load=load)
    assert f"\n  {said}\n" in ncsctl("status", place=tmp_path).stdout


def test_json_is_the_status_document(daemon: FakeControl, tmp_path: Path) -> None:
    done = ncsctl("status", "--json", place=tmp_path)
    assert done.stdout == json.dumps(json.loads(msgspec.json.encode(daemon.status)), indent=2, ensure_ascii=False) + "\n"


def document(daemon: FakeControl) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(daemon.status)
    return made


def test_fields_of_a_newer_daemon_are_ignored_and_printed_as_json(daemon: FakeControl, tmp_path: Path) -> None:
    shown = ncsctl("status", place=tmp_path).stdout
    daemon.document = {**document(daemon), "nights": [{"name": "night"}]}
    daemon.document["sticks"][0]["duty"] = 0.5
    assert ncsctl("status", place=tmp_path).stdout == shown
    printed = ncsctl("status", "--json", place=tmp_path)
    assert (printed.returncode, json.loads(printed.stdout)) == (0, json.loads(msgspec.json.encode(daemon.document)))


def test_a_field_an_older_daemon_lacks_is_named_in_one_line(daemon: FakeControl, tmp_path: Path) -> None:
    daemon.document = document(daemon)
    del daemon.document["clusters"]["shedding"]
    for command in (["status"], ["status", "--watch"], ["top"]):
        done = ncsctl(*command, place=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "ncsctl: ncs-clusterd is of another version: Object missing required field `shedding` - at `$.clusters`;"
            " restart it, or use the ncsctl it was installed with\n"
        )
    printed = ncsctl("status", "--json", place=tmp_path)
    assert (printed.returncode, printed.stderr.count("\n")) == (1, 1), "the document is printed whole, and the missing field named"
    assert json.loads(printed.stdout) == json.loads(msgspec.json.encode(daemon.document))


def test_url_waits_for_a_page_that_is_not_ready_and_for_no_other_refusal(daemon: FakeControl, tmp_path: Path) -> None:
    daemon.refusal, daemon.code = "there is no page: it is not ready yet and never will be", NO_PAGE
    assert ncsctl("url", place=tmp_path).returncode == 1
    assert len(daemon.requests) == 1
    daemon.refusal, daemon.code = "in any words", PAGE_NOT_READY
    with subprocess.Popen([*NCSCTL, "url", "--runtime-dir", str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        deadline_s = time.monotonic() + 60
        while len(daemon.requests) < 3 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        daemon.refusal = None
        assert process.communicate(timeout=60)[0] == "http://127.0.0.1:8080/\n"


def test_the_runtime_directory_may_stand_before_or_after_the_command_or_in_the_environment(
    daemon: FakeControl, tmp_path: Path
) -> None:
    assert ncsctl("status", place=tmp_path).returncode == 0
    assert ncsctl("status", "--runtime-dir", str(tmp_path)).returncode == 0
    assert ncsctl("status", RUNTIME_DIRECTORY=str(tmp_path)).returncode == 0


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["top"], ["switch"], ["events"], ["events", "-f"], ["url"]])
def test_without_a_daemon_it_says_so_in_one_line_and_exits_3(command: list[str], tmp_path: Path) -> None:
    done = ncsctl(*command, place=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"ncsctl: ncs-clusterd is not running: no process listens on {tmp_path}/control.sock (--runtime-dir names another folder); "
        "ncsctl doctor looks for the cause\n"
    )


def test_wrong_usage_exits_2(tmp_path: Path) -> None:
    for argv in ([], ["dance"], ["status", "--json", "--watch"]):
        assert ncsctl(*argv, place=tmp_path).returncode == 2


def test_switch_and_url_say_what_the_daemon_says(daemon: FakeControl, tmp_path: Path) -> None:
    assert ncsctl("switch", place=tmp_path).stdout == "switched to sim-3, sim-4\n"
    assert ncsctl("url", place=tmp_path).stdout == "http://127.0.0.1:8080/\n"
    daemon.refusal = "there is no other cluster"
    done = ncsctl("switch", place=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "ncsctl: there is no other cluster\n")


def test_events_are_lines_and_a_reader_that_leaves_is_no_error(daemon: FakeControl, tmp_path: Path) -> None:
    for number in range(2000):
        daemon.add_event(f"event {number}", level="warning")
    lines = ncsctl("events", place=tmp_path).stdout.splitlines()
    assert len(lines) == 2000
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  warning stick sim-1   event 0", lines[0])
    command = shlex.join([*NCSCTL, "events", "--runtime-dir", str(tmp_path)]) + " | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_following_ends_quietly_with_ctrl_c_and_with_3_when_the_daemon_goes(daemon: FakeControl, tmp_path: Path) -> None:
    daemon.add_event("hello")
    for end, code in ((lambda process: process.send_signal(signal.SIGINT), 130), (lambda _: daemon.close(), 3)):
        process = subprocess.Popen(
            [*NCSCTL, "events", "--follow", "--runtime-dir", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert "hello" in process.stdout.readline()
        end(process)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (code, "")
        assert err == ("" if code == 130 else "ncsctl: ncs-clusterd closed the connection\n")


def on_terminal(*argv: str, until: bytes, times: int = 1, **environ: str) -> tuple[bytes, int]:
    """Output on a terminal of 80 x 24 and the exit code. Ctrl-C is pressed when these bytes have come so many times."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*NCSCTL, *argv], {**os.environ, "TERM": "xterm", **environ})
    got, deadline_s = b"", time.monotonic() + 60
    try:
        while got.count(until) < times and time.monotonic() < deadline_s and select.select([fd], [], [], 30)[0]:
            got += os.read(fd, 65536)
        os.write(fd, b"\x03")
        while True:
            got += os.read(fd, 65536)
    except OSError:
        pass  # the terminal is gone: the program has ended
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return got, os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("command", [["status", "--watch"], ["top"]])
def test_live_views_redraw_and_leave_the_terminal_as_it_was(daemon: FakeControl, tmp_path: Path, command: list[str]) -> None:
    # at the end of the second picture, because Ctrl-C makes the terminal discard what it has not passed on
    got, code = on_terminal(*command, "--runtime-dir", str(tmp_path), until=b"\x1b[J", times=2)
    assert code == 0
    assert got.count(b"ncs-clusterd 0.1.0") >= 2
    assert got.startswith(b"\x1b[?1049h\x1b[?25l")
    assert got.rstrip().endswith(b"\x1b[?25h\x1b[?1049l")
    assert b"Traceback" not in got


def test_colour_is_for_terminals_that_want_it(daemon: FakeControl, tmp_path: Path) -> None:
    where = ("status", "--runtime-dir", str(tmp_path))
    assert b"\x1b[32mok\x1b[0m" in on_terminal(*where, until=b"RESTARTS")[0]
    assert b"\x1b" not in on_terminal(*where, until=b"RESTARTS", NO_COLOR="1")[0]


HEAVY = (
    *("cv2", "openvino", "numpy", "pydantic", "pydantic_settings", "rich"),
    *("argparse", "pathlib", "tempfile", "shutil", "subprocess", "logging", "asyncio", "inspect", "typing_extensions", "json"),
    *("ncs_cluster.messages", "ncs_cluster.specs", "ncs_cluster.core", "ncs_cluster.config", "ncs_cluster.cli.parser"),
)


@pytest.mark.parametrize("command", [["status"], ["switch"], ["events"], ["url"]])
def test_a_command_that_asks_the_daemon_imports_nothing_heavy(daemon: FakeControl, tmp_path: Path, command: list[str]) -> None:
    code = (
        "import os, sys; os._exit = sys.exit; from ncs_cluster.cli.ncsctl import main\n"
        "try: main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    argv = [sys.executable, "-c", code, *command, "--runtime-dir", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert {"msgspec", "ncs_cluster.client"} <= imported
    assert imported & set(HEAVY) == set()


def test_typing_extensions_can_be_imported_after_a_lean_msgspec() -> None:
    code = (
        "import sys; from ncs_cluster.cli import lean; lean.import_msgspec(); assert 'inspect' not in sys.modules;"
        "import typing_extensions, msgspec, typing; assert msgspec._utils.Required is typing.Required;"
        "print(typing_extensions.TypedDict.__name__)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "TypedDict\n"


@pytest.mark.parametrize(
    ("argv", "plain"),
    [
        ("status", ("status", None, {"json": False, "watch": False})),
        ("--runtime-dir a status --json", ("status", "a", {"json": True, "watch": False})),
        ("--runtime-dir a status --runtime-dir b", ("status", "b", {"json": False, "watch": False})),
        ("events --follow", ("events", None, {"follow": True})),
        ("top", ("top", None, {})),
        *(
            (line, None)
            for line in ("", "dance", "status --json --watch", "--json status", "status --js", "events -f", "top --json")
        ),
        *(
            (line, None)
            for line in ("status --help", "--version", "status status", "status --runtime-dir", "--runtime-dir -x status")
        ),
        *((line, None) for line in ("--runtime-dir=a status", "graphs list", "status --", "status --json --json")),
    ],
)
def test_plain_command_lines_are_read_without_argparse_and_as_argparse_reads_them(
    argv: str, plain: tuple[str, str | None, dict[str, bool]] | None
) -> None:
    assert lean.read_plain(argv.split(), commands.FLAGS) == plain
    if plain is not None:
        given = vars(parser.make().parse_args(argv.split()))
        given.pop("run")
        assert given == {**plain[2], **({} if plain[1] is None else {"runtime_dir": plain[1]})}


def test_a_command_costs_little(daemon: FakeControl, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ncsctl("status", place=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4 * CPU_S

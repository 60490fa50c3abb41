"""ncsctl usb-capture and usb-compare, on the emulated bus and on the machine's own libusb."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ncs_cluster.cli.usb import build, recording
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.xlink import capture_log
from ncs_cluster.xlink.transcript import Boot, Call, Frame, Header, Transcript, dump
from tests.cli import asking
from tests.cli.usb_programs import ASYNC, LEAVE, LISTING, TALK
from tests.conftest import ROOT
from tests.needs import need_libusb, need_program

pytestmark = pytest.mark.slow

NCSCTL = [sys.executable, "-m", "ncs_cluster.cli.ncsctl"]
LOOPBACK = "ncs_cluster.emulator.loopback:Loopback"


def ncsctl(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return asking.ncsctl_in({**os.environ, **environ}, *argv)


@pytest.fixture
def stick(start_emulator: Callable[..., Emulator]) -> Emulator:
    """A bus with one unbooted stick, which sends back what it hears."""
    bus = start_emulator(chip=LOOPBACK, time_scale=20)
    bus.add("1-1.2")
    return bus


def capture(stick: Emulator, output: Path, program: str, *argv: str) -> subprocess.CompletedProcess[str]:
    environ = {**stick.env, "PYTHONPATH": str(ROOT)}
    return ncsctl("usb-capture", "-o", str(output), "--", sys.executable, "-c", program, *argv, **environ)


def frames(told: Transcript) -> list[tuple[bool, str, int, list[int]]]:
    return [(item.sent, item.type, item.id, item.body) for item in told.items if isinstance(item, Frame)]


def test_a_program_is_recorded_from_boot_to_close_with_its_firmware_and_frames(stick: Emulator, tmp_path: Path) -> None:
    output = tmp_path / "talk.jsonl.gz"
    done = capture(stick, output, TALK + LEAVE)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr == f"ncsctl: {output}: 1 boot, 1 link, 3 frames\n"
    told = recording.read(output)
    (boot,) = [item for item in told.items if isinstance(item, Boot)]
    assert (boot.size, boot.transfers, boot.watchdog) == (40_012, [16384, 16384, 7244], 1)
    assert boot.published_sha256 is not None
    assert frames(told) == [(True, "PING_REQ", 10, []), (False, "PING_REQ", 10, []), (True, "WRITE_REQ", 11, [9000])]
    calls = [(item.handle, item.name) for item in told.items if isinstance(item, Call) and item.handle]
    assert calls == [
        (1, "open"),
        (1, "set_configuration"),
        (1, "claim_interface"),
        (1, "close"),
        (2, "open"),
        (2, "claim_interface"),
        (2, "get_string_descriptor_ascii"),
        (2, "release_interface"),
        (2, "close"),
    ]
    seen = [item.device for item in told.items if isinstance(item, Call) and item.name == "devices"]
    assert (seen[0][:10], seen[-1][:10]) == ("2485 bus 1", "f63b bus 2")


def test_blocking_and_asynchronous_transfers_are_told_alike(stick: Emulator, tmp_path: Path) -> None:
    output = tmp_path / "async.jsonl"
    done = capture(stick, output, ASYNC)
    assert (done.returncode, done.stderr) == (0, f"ncsctl: {output}: 1 boot, 1 link, 4 frames\n")
    told = recording.read(output)
    assert frames(told) == [
        (True, "PING_REQ", 10, []),
        (False, "PING_REQ", 10, []),
        (True, "WRITE_REQ", 11, [4096, 4096, 808]),
        (False, "WRITE_REQ", 11, [4096, 4096, 808]),
    ]
    called_off = [item.rc for item in told.items if isinstance(item, Call) and item.name == "completed"]
    assert called_off == [3]


def test_what_was_said_before_a_kill_is_told_and_the_exit_code_is_the_commands(stick: Emulator, tmp_path: Path) -> None:
    output = tmp_path / "killed.jsonl"
    done = capture(stick, output, TALK + "os.kill(os.getpid(), 9)")
    assert done.returncode == 128 + signal.SIGKILL
    assert [kind for _, kind, _, _ in frames(recording.read(output))] == ["PING_REQ", "PING_REQ", "WRITE_REQ"]


def test_payloads_beyond_the_limit_are_told_by_length_and_frames_are_still_found(stick: Emulator, tmp_path: Path) -> None:
    output = tmp_path / "cut.jsonl"
    environ = {**stick.env, "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-c", TALK + "print(len(stick.read(84)))" + LEAVE]
    done = ncsctl("usb-capture", "--keep", "0", "-o", str(output), "--", *program, **environ)
    assert "payloads cut" in done.stderr
    assert recording.read(output).header.cut


def test_a_transcript_tells_nothing_of_its_owner(stick: Emulator, tmp_path: Path) -> None:
    output = tmp_path / "talk.jsonl"
    done = capture(stick, output, TALK + LEAVE, "rtsp://admin:secret@camera")
    assert done.returncode == 0
    text = output.read_text()
    serial = str(stick.state("1-1.2").get("serial", "no serial"))
    for private in ("secret", os.uname().nodename, str(tmp_path), os.path.expanduser("~"), serial):
        assert private not in text


def test_each_process_of_a_command_is_recorded(start_emulator: Callable[..., Emulator], tmp_path: Path) -> None:
    bus = start_emulator(chip=LOOPBACK, time_scale=20)
    bus.add("1-1.2")
    output = tmp_path / "two.jsonl"
    program = f"import subprocess, sys\nfor _ in range(2): subprocess.run([sys.executable, '-c', {LISTING!r}], check=True)"
    done = capture(bus, output, program + "\n" + TALK + LEAVE)
    assert done.returncode == 0, done.stderr
    assert sum(isinstance(item, Call) and item.name == "begin" for item in recording.read(output).items) == 3


def test_two_recordings_of_the_same_are_equal_and_another_is_told_line_by_line(stick: Emulator, tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl.gz"
    more = TALK.replace("bytes(9000)", "bytes(8999) + b'1'") + LEAVE
    for output, program in ((one, TALK + LEAVE), (other, more)):
        assert capture(stick, output, program).returncode == 0
        stick.reset()
        stick.add("1-1.2")
    same = ncsctl("usb-compare", str(one), str(one))
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout.startswith("equal\nset aside:\n    times (")
    different = ncsctl("usb-compare", "--quiet", str(one), str(other))
    assert different.returncode == 1
    assert re.search(r"^link 1, host:\n(    .*\n)*    -WRITE .*9000 bytes [0-9a-f]{64}", different.stdout)
    assert "set aside" not in different.stdout


def test_files_that_are_no_transcripts_are_refused_in_one_line_with_exit_code_2(tmp_path: Path) -> None:
    good, bad, zipped = tmp_path / "good", tmp_path / "bad", tmp_path / "bad.gz"
    good.write_bytes(b"".join(dump(Transcript(Header(1, "0", [], "x86_64"), []))))
    bad.write_text("{}\n")
    zipped.write_bytes(b"\x1f\x8b\x08rubbish")
    for other in (bad, zipped, tmp_path / "absent", tmp_path):
        done = ncsctl("usb-compare", str(good), str(other))
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(rf"ncsctl: {re.escape(str(other))}: [^\n]+\n", done.stderr)


def test_what_cannot_be_recorded_is_told_in_one_line(stick: Emulator, tmp_path: Path) -> None:
    output = tmp_path / "none.jsonl"

    def refused(*argv: str, **environ: str) -> str:
        done = ncsctl("usb-capture", *argv, **{**stick.env, **environ})
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert not output.exists()
        return done.stderr

    command = ["-o", str(output), "--", sys.executable, "-c", "pass"]
    assert "no stick was opened: nothing was recorded" in refused(*command)
    assert "usb-capture needs a C compiler" in refused(*command, PATH=str(tmp_path), CC="")
    assert "did not compile the recorder" in refused(*command, CC="false")
    assert "/none.so cannot be loaded: install libusb" in refused("--libusb", "/none.so", *command)
    assert "absent-command: No such file" in refused("-o", str(output), "--", "absent-command")
    assert "/absent/x: cannot be written: name a file" in refused("-o", str(tmp_path / "absent" / "x"), "--", "true")


def test_ctrl_c_and_sigterm_end_the_command_and_the_transcript_is_written(stick: Emulator, tmp_path: Path) -> None:
    output, ready = tmp_path / "stopped.jsonl", tmp_path / "ready"
    program = TALK + f"open({str(ready)!r}, 'w')\ntime.sleep(60)"
    environ = {**os.environ, **stick.env, "PYTHONPATH": str(ROOT)}
    command = [*NCSCTL, "usb-capture", "-o", str(output), "--", sys.executable, "-c", program]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environ) as running:
        until_s = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < until_s:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        running.terminate()
        assert running.wait(30) == 128 + signal.SIGTERM
    assert len(frames(recording.read(output))) == 3


# -- the recorder -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> str:
    """The machine's own libusb."""
    need_libusb()
    return build.real_libusb(os.environ)


def exported(library: str | Path) -> set[str]:
    nm = need_program("nm", "binutils")
    listed = subprocess.run([nm, "-D", "--defined-only", library], capture_output=True, text=True, check=True)
    return set(re.findall(r" [TW] (libusb_\w+)", listed.stdout))


def test_the_recorder_has_every_call_of_the_machines_libusb(recorder: Path, real: str) -> None:
    assert exported(real) - exported(recorder) == set()


def test_the_recorder_passes_on_to_the_machines_libusb(recorder: Path, real: str, tmp_path: Path) -> None:
    environ = build.environment(os.environ, recorder, real, tmp_path, 1 << 20)
    done = subprocess.run([sys.executable, "-c", LISTING], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "listed\n", "")
    (log,) = tmp_path.iterdir()
    with log.open("rb") as file:
        kinds = [item.name for item in capture_log.items([file]) if isinstance(item, Call)]
    assert (kinds[0], kinds[1], kinds[-1]) == ("begin", "init", "exit")


def test_calls_at_random_from_several_threads_do_it_no_harm(recorder: Path, stick: Emulator, tmp_path: Path) -> None:
    environ = build.environment({**os.environ, **stick.env}, recorder, str(stick.libusb), tmp_path, 1 << 20)
    monkey = [sys.executable, str(ROOT / "tests/emulator/usb_monkey.py"), str(recorder), str(stick.socket)]
    done = subprocess.run(monkey, env={**environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    told = recording.transcript(list(tmp_path.iterdir()), "monkey")
    submitted = {item.name for item in told.items if isinstance(item, Call)}
    assert {"open", "close", "completed", "cancel_transfer", "arrived"} <= submitted


def test_without_a_folder_for_its_log_the_recorder_only_passes_on(recorder: Path, real: str, tmp_path: Path) -> None:
    environ = build.environment(os.environ, recorder, real, tmp_path, 1 << 20)
    for absent in (
        {**environ, "NCS_USB_CAPTURE": str(tmp_path / "absent")},
        {k: v for k, v in environ.items() if k != "NCS_USB_CAPTURE"},
    ):
        done = subprocess.run([sys.executable, "-c", LISTING], env=absent, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "listed\n")


def test_both_ends_of_a_log_name_the_same_kinds() -> None:
    source = build.SOURCE.read_text()
    table = source[source.index("#define KINDS(_)") : source.index("#define AS_ENUM")]
    assert re.findall(r"\b_\((\w+)\)", table) == capture_log.KINDS

"""The guided recording, with the backend `xlink` on an emulated stick."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ncs_cluster.cli.usb import guided, recording
from ncs_cluster.cli.usb.guided import Step
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.xlink import compare
from ncs_cluster.xlink.firmware import SHA256
from ncs_cluster.xlink.transcript import Boot, Call, Frame, Transcript
from tests.python39 import ROOT, Runtime
from tests.xlink import blobs

pytestmark = pytest.mark.slow

NCSCTL = [sys.executable, "-m", "ncs_cluster.cli.ncsctl", "usb-capture"]
PORT = "1-1.2"
SIDE = 40
INFERENCES = 8
WARM_UP = 1
GONE = 5
"""How a transfer ends whose device has been pulled."""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with firmware and blob of nothing."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "firmware").write_bytes(artificial_firmware(40_000))
    outputs = [blobs.Entry("out", (1, 7), blobs.FP32, blobs.NC)]
    (folder / "blob").write_bytes(blobs.make([blobs.Entry("data", (1, 3, SIDE, SIDE))], outputs))
    return folder


def asked(parts: Path, output: Path) -> list[str]:
    return ["-o", str(output), "--firmware", str(parts / "firmware"), "--blob", str(parts / "blob")]


def tensors(told: Transcript) -> list[str | None]:
    """Hashes of what went to the graph's input, in order."""
    size = 3 * SIDE * SIDE
    return [item.sha256 for item in told.items if isinstance(item, Frame) and item.sent and item.size == size and item.body]


def test_a_stick_is_recorded_step_by_step_with_the_same_noise_each_time(emulator: Emulator, parts: Path, tmp_path: Path) -> None:
    emulator.add(PORT, graphs="echo", boot_s=0.05)
    output = tmp_path / "short.jsonl"
    command = [*NCSCTL, *asked(parts, output), "--short"]
    done = subprocess.run(command, env={**os.environ, **emulator.env}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"stick at USB port {PORT}, xlink, less than a minute; Ctrl-C ends a step")
    assert "°C, throttle level 0" in done.stderr
    told = recording.read(output)
    assert [item.watchdog for item in told.items if isinstance(item, Boot)] == [1]
    sent = tensors(told)
    assert len(sent) == INFERENCES + WARM_UP
    assert len(set(sent)) == len(sent)
    assert [item.type for item in told.items if isinstance(item, Frame)][-1].startswith("RESET")


def test_the_vendors_plugin_and_ours_are_recorded_alike_and_say_the_same(
    emulator: Emulator, oracle_python: Runtime, firmware: Path, tmp_path: Path
) -> None:
    """What owners of a stick are asked for, on an emulated one: the demo graph, with the blob that is shipped."""
    emulator.add(PORT, graphs=[str(ROOT / "graphs/demo/demo.xml")], boot_s=0.05)
    told = []
    for who in (["--with", "myriad", "--python", oracle_python.python], ["--firmware", str(firmware)]):
        output = tmp_path / f"{len(told)}.jsonl"
        command = [*NCSCTL, "-o", str(output), "--short", *who]
        done = subprocess.run(command, env={**os.environ, **emulator.env}, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        told.append(recording.read(output))
        emulator.await_state(PORT, "rom")
    assert compare.compare(*told).differences == []
    for one in told:
        (boot,) = [item for item in one.items if isinstance(item, Boot)]
        assert boot.published_sha256 == SHA256


def test_a_stick_that_is_left_alone_orphaned_and_pulled_is_recorded(
    emulator: Emulator, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    emulator.add(PORT, graphs="echo", boot_s=0.05, latency_s=0.02, watchdog_s=2.0)
    for name, value in emulator.env.items():
        monkeypatch.setenv(name, value)
    output = tmp_path / "long.jsonl.gz"
    steps = [Step("silence", 0, "silence"), Step("killed", 0, "killed", fails=True), Step("unplug", 0, "unplug")]
    given = argparse.Namespace(
        output=output,
        libusb=str(emulator.libusb),
        keep=64,
        backend="xlink",
        python=sys.executable,
        stick=None,
        graph="demo",
        blob=parts / "blob",
        firmware=parts / "firmware",
    )

    def pull_the_third_at_work() -> None:
        until_s = time.monotonic() + 40
        while time.monotonic() < until_s:
            now = emulator.state(PORT)
            if now["boots"] == 3 and (now["chip"] or {}).get("in_flight", 0) > 1:
                emulator.pull(PORT)
                return
            time.sleep(0.05)

    hand = threading.Thread(target=pull_the_third_at_work)
    hand.start()
    code = guided.record(given, steps, scale=0.2)
    hand.join()
    said = capfd.readouterr().err
    assert code == 0, said
    assert "it left " in said
    assert "noticed: stick 1-1.2: the stick was unplugged" in said
    told = recording.read(output)
    assert sum(isinstance(item, Boot) for item in told.items) == len(steps)
    assert [item.rc for item in told.items if isinstance(item, Call) and item.name == "completed"][-1:] == [GONE]


def test_without_a_stick_a_blob_or_firmware_it_says_what_is_missing(emulator: Emulator, parts: Path, tmp_path: Path) -> None:
    output = tmp_path / "none.jsonl"

    def refused(*argv: str) -> str:
        environ = {**os.environ, **emulator.env, "NCS_CLUSTER_STATE_DIR": str(tmp_path)}
        done = subprocess.run([*NCSCTL, *argv], env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    assert refused(*asked(parts, output)) == "ncsctl: no neural compute stick is plugged in (no device of USB vendor 03e7)\n"
    assert "get it with: ncsctl firmware install" in refused("-o", str(output), "--blob", str(parts / "blob"))
    assert "absent.blob: there is no such file: name a blob with --blob" in refused(
        "-o", str(output), "--blob", str(tmp_path / "absent.blob")
    )
    emulator.add("1-1.2")
    emulator.add("1-1.3")
    assert "2 sticks are plugged in: leave one, or name one with --stick: 1-1.2, 1-1.3" in refused(*asked(parts, output))
    assert "--stick 9-9: no neural compute stick at this port; sticks: 1-1.2, 1-1.3" in refused(
        *asked(parts, output), "--stick", "9-9"
    )
    assert "--python /none: is not an executable" in refused(*asked(parts, output), "--python", "/none")
    assert "none: no such file" in refused("-o", str(output), "--blob", str(parts / "blob"), "--firmware", "none")
    assert not output.exists()


RECORDER = """
import signal, sys
from pathlib import Path
from ncs_cluster.cli.usb import recording
from ncs_cluster.specs import RuntimeSpec

signal.signal(signal.SIGINT, signal.default_int_handler)
before = signal.getsignal(signal.SIGINT)
with recording.Recording(Path(sys.argv[1])) as made:
    ended = made.run([sys.executable, "-c", sys.argv[2]], RuntimeSpec(sys.executable), b"")
print(ended, signal.getsignal(signal.SIGINT) is before)
"""


def test_ctrl_c_ends_a_step_at_once_even_while_its_interpreter_loads(emulator: Emulator, tmp_path: Path) -> None:
    """The step's process is not asked, so it has no traceback to answer with. It is in nobody's way for a minute otherwise."""
    begun = tmp_path / "begun"
    step = f"open({str(begun)!r}, 'w').close(); import time; time.sleep(60)"
    command = [sys.executable, "-c", RECORDER, str(tmp_path / "out.jsonl"), step]
    environ = {**os.environ, **emulator.env}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while not begun.exists():
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        said, complaints = running.communicate(timeout=60)
    assert said.split() == [str(128 + signal.SIGTERM), "True"]
    assert "Traceback" not in complaints


def test_ctrl_c_while_a_stick_is_waited_for_ends_the_recording_and_what_there_is_is_written(
    emulator: Emulator, parts: Path, tmp_path: Path
) -> None:
    emulator.add(PORT, graphs="echo", boot_s=0.05)
    output = tmp_path / "cut.jsonl"
    environ = {**os.environ, **emulator.env}
    with subprocess.Popen([*NCSCTL, *asked(parts, output)], env=environ, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        said = ""
        for awaited in (" opened in ", "2 of 7"):
            while awaited not in said:
                line = running.stderr.readline()
                assert line, said
                said += line
            if "2 of 7" not in said:
                emulator.pull(PORT)
        running.send_signal(signal.SIGINT)
        said += running.stderr.read()
    assert running.returncode == 130, said
    assert said.splitlines()[-3:-2] == ["    no further steps"]
    assert f"{output}: please send it" in said
    assert sum(isinstance(item, Boot) for item in recording.read(output).items) == 1


def test_a_recording_for_which_there_is_no_room_goes_elsewhere(emulator: Emulator, parts: Path, tmp_path: Path) -> None:
    emulator.add(PORT, graphs="echo", boot_s=0.05)
    environ = {**os.environ, **emulator.env, "TMPDIR": str(tmp_path)}
    command = [*NCSCTL, *asked(parts, Path("/dev/full")), "--short"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    (spare,) = tmp_path.iterdir()
    assert f"ncsctl: /dev/full: No space left on device; writing it to {spare} instead\n" in done.stderr
    assert any(isinstance(item, Boot) for item in recording.read(spare).items)

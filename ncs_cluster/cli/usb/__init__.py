"""`ncsctl usb-capture` and `ncsctl usb-compare`: what is said to a stick over USB, recorded and compared.

The recorder is a libusb of our own that stands before the machine's (capture.c); nothing needs root, and no other device is looked
at. docs/ncs2.md says what the transcripts are for.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import ncs_cluster
from ncs_cluster.errors import NcsClusterError

if TYPE_CHECKING:
    from ncs_cluster.xlink.transcript import Transcript

MIB = 1 << 20
TROUBLE = 2
Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add(command: Add) -> None:
    """The two commands, for ncsctl's parser."""
    capture = command("usb-capture", _capture, "record what a command says to sticks over USB")
    capture.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the transcript; FILE.gz is compressed")
    capture.add_argument("--keep", type=int, default=256, metavar="MIB", help="payloads kept while recording (default 256)")
    capture.add_argument("--libusb", metavar="FILE", help="the libusb to record, where it is not the one that is found")
    capture.add_argument("command", nargs="*", metavar="COMMAND", help="what to run, after --")
    compare = command("usb-compare", _compare, "what differs between two transcripts, beside what may")
    compare.epilog = "exit codes: 0 equal, 1 different, 2 a file cannot be read"
    compare.add_argument("first", type=Path, metavar="A")
    compare.add_argument("second", type=Path, metavar="B")
    compare.add_argument("--quiet", "-q", action="store_true", help="do not list what was set aside")


def _capture(given: argparse.Namespace) -> int:
    if not given.command:
        print("ncsctl usb-capture: name a command after --", file=sys.stderr)
        return TROUBLE
    return record(given.command, given.output, libusb=given.libusb, keep=given.keep * MIB)


def record(command: Sequence[str], output: Path, *, libusb: str | None = None, keep: int = 256 * MIB) -> int:
    """Run `command` with the recorder before its libusb, then write the transcript. The command's exit code, 1 when no stick was
    spoken to. Raises NcsClusterError."""
    from ncs_cluster.cli.usb import build

    # before anything is run for minutes
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise NcsClusterError(f"{output}: cannot be written: name a file in a folder that is there and yours")
    with tempfile.TemporaryDirectory(prefix="usb-capture-") as name:
        folder = Path(name)
        logs = folder / "logs"
        logs.mkdir()
        real = build.real_libusb(os.environ, libusb)
        environ = build.environment(os.environ, build.compile_into(folder), real, logs, keep)
        code = _run(command, environ)
        told = transcript(sorted(logs.iterdir()), of=Path(command[0]).name)
    if not any(item.handle for item in told.items):
        print("ncsctl: no stick was opened: nothing was recorded", file=sys.stderr)
        return code or 1
    _write(told, output)
    print(f"ncsctl: {output}: {_summary(told)}", file=sys.stderr)
    return code


def transcript(logs: Sequence[Path], of: str) -> Transcript:
    """The transcript of these raw logs."""
    from ncs_cluster.xlink import capture_log
    from ncs_cluster.xlink.transcript import VERSION, Call, Header, Transcript

    with ExitStack() as stack:
        items = capture_log.items([stack.enter_context(log.open("rb")) for log in logs])
    calls = [item for item in items if isinstance(item, Call)]
    header = Header(
        transcript=VERSION,
        ncs_cluster=ncs_cluster.__version__,
        libusb=sorted({call.device for call in calls if call.name == "begin"}),
        machine=platform.machine(),
        system=f"{platform.system()} {platform.release().split('-')[0]}",
        of=of,
        cut=any(call.name == "full" for call in calls),
    )
    return Transcript(header, items)


def _run(command: Sequence[str], environ: dict[str, str]) -> int:
    """The command's exit code as a shell gives it. Ctrl-C and SIGTERM are the command's: we wait for its end."""
    try:
        running = subprocess.Popen(command, env=environ)
    except OSError as error:
        raise NcsClusterError(f"{command[0]}: {error.strerror}") from error
    before = [(each, signal.signal(each, handle)) for each, handle in _handlers(running)]
    try:
        code = running.wait()
    finally:
        for each, handle in before:
            signal.signal(each, handle)
    return code if code >= 0 else 128 - code


def _handlers(running: subprocess.Popen[bytes]) -> list[tuple[signal.Signals, Callable[..., None]]]:
    # a terminal sends Ctrl-C to both, a supervisor its SIGTERM only to us
    return [(signal.SIGINT, lambda *_: None), (signal.SIGTERM, lambda *_: running.terminate())]


def _compare(given: argparse.Namespace) -> int:
    from ncs_cluster.xlink import compare

    try:
        first, second = read(given.first), read(given.second)
    except NcsClusterError as error:
        print(f"ncsctl: {error}", file=sys.stderr)
        return TROUBLE
    report = compare.compare(first, second)
    for difference in report.differences:
        print(f"{difference.lane}:")
        for line in difference.lines:
            print(f"    {line}")
    if not report.differences:
        print("equal")
    if not given.quiet:
        print("set aside:")
        for rule, times in report.set_aside.items():
            print(f"    {rule} ({times}): {compare.RULES[rule]}")
    return 1 if report.differences else 0


def read(path: Path) -> Transcript:
    """Raises NcsClusterError for a file that is none."""
    import zlib

    from ncs_cluster.xlink.transcript import load

    try:
        with _opened(path, "rb") as lines:
            return load(lines)
    except NcsClusterError as error:
        raise NcsClusterError(f"{path}: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise NcsClusterError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _write(told: Transcript, output: Path) -> None:
    from ncs_cluster.xlink.transcript import dump

    try:
        with _opened(output, "wb") as file:
            file.writelines(dump(told))
    except OSError as error:
        raise NcsClusterError(f"{output}: {error.strerror}") from error


def _opened(path: Path, mode: str) -> BinaryIO:
    return gzip.open(path, mode) if path.suffix == ".gz" else path.open(mode)  # type: ignore[return-value]


def _summary(told: Transcript) -> str:
    from ncs_cluster.xlink.transcript import Boot, Frame

    boots = sum(isinstance(item, Boot) for item in told.items)
    frames = [item for item in told.items if isinstance(item, Frame)]
    links = len({frame.handle for frame in frames})
    return f"{boots} boots, {links} links, {len(frames)} frames" + (", payloads cut" if told.header.cut else "")

"""Runs commands with the recorder before their libusb, and writes one transcript of all."""

from __future__ import annotations

import gzip
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

import ncs_cluster
from ncs_cluster.cli.usb import build
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.specs import RuntimeSpec

if TYPE_CHECKING:
    from ncs_cluster.xlink.transcript import Transcript


class Recording:
    """Raises NcsClusterError, before any command runs, for an unwritable output, without a compiler, and without a libusb."""

    def __init__(self, output: Path, libusb: str | None = None, keep: int = 64 << 20) -> None:
        if output.is_dir() or not os.access(output if output.exists() else output.parent, os.W_OK):
            raise NcsClusterError(f"{output}: cannot be written: name a file in a writable folder")
        self._output = output
        self._folder = tempfile.TemporaryDirectory(prefix="usb-capture-")
        try:
            self._place = Path(self._folder.name)
            self._logs = self._place / "logs"
            self._logs.mkdir()
            self._real = build.real_libusb(os.environ, libusb)
            self._library = build.compile_into(self._place)
            self._keep = keep
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._folder.cleanup()

    def run(self, command: Sequence[str], runtime: RuntimeSpec | None = None, given: bytes | None = None) -> int:
        """Run a command and return its exit code as a shell does. `given` is its standard input. With a runtime the command is an
        interpreter that finds this package. Ctrl-C and SIGTERM go to the command, and this waits for its end. An interpreter is
        killed instead: interrupted during its start it would print a traceback."""
        environ: Mapping[str, str] = os.environ
        if runtime is not None:
            from ncs_cluster.processes import spawn

            environ = spawn.environment(runtime, self._place)
        environ = build.environment(environ, self._library, self._real, self._logs, self._keep)
        children: list[subprocess.Popen[bytes]] = []

        def end(*_: object) -> None:
            for child in children:
                child.terminate()

        # a terminal sends Ctrl-C to both processes, a service manager SIGTERM to this one only; an interpreter gets neither
        handlers = {signal.SIGINT: lambda *_: None, signal.SIGTERM: end}
        if runtime is not None:
            handlers |= {signal.SIGINT: end, signal.SIGHUP: end}
        before = {each: signal.signal(each, handler) for each, handler in handlers.items()}
        try:
            running = subprocess.Popen(
                command,
                env=environ,
                stdin=None if given is None else subprocess.PIPE,
                process_group=None if runtime is None else 0,
            )
            children.append(running)
            running.communicate(given)
        except OSError as error:
            raise NcsClusterError(f"{command[0]}: {error.strerror}") from error
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
        return running.returncode if running.returncode >= 0 else 128 - running.returncode

    def write(self, of: str) -> Path | None:
        """Write the transcript of all commands and return its path; None, and a line, when no stick was opened. When the output
        cannot be written, the transcript goes to the temporary folder. Raises NcsClusterError."""
        recorded = transcript(sorted(self._logs.iterdir()), of)
        if not any(item.handle for item in recorded.items):
            print("ncsctl: no stick was opened: nothing was recorded", file=sys.stderr)
            return None
        path = self._output
        try:
            write(recorded, path)
        except NcsClusterError as error:
            handle, spare = tempfile.mkstemp(suffix="".join(path.suffixes[-2:]), prefix="usb-capture-")
            os.close(handle)
            print(f"ncsctl: {error}; writing it to {spare} instead", file=sys.stderr)
            path = Path(spare)
            write(recorded, path)
        print(f"ncsctl: {path}: {summary(recorded)}", file=sys.stderr)
        return path


def transcript(logs: Sequence[Path], of: str) -> Transcript:
    """The transcript of these raw logs. Raises NcsClusterError."""
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


def read(path: Path) -> Transcript:
    """Read a transcript. Raises NcsClusterError for any other file."""
    import zlib

    from ncs_cluster.xlink.transcript import load

    try:
        with _opened(path, "rb") as lines:
            return load(lines)
    except NcsClusterError as error:
        raise NcsClusterError(f"{path}: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise NcsClusterError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def write(recorded: Transcript, output: Path) -> None:
    """Compressed where the name ends in .gz. Raises NcsClusterError."""
    from ncs_cluster.xlink.transcript import dump

    try:
        with _opened(output, "wb") as file:
            file.writelines(dump(recorded))
    except OSError as error:
        raise NcsClusterError(f"{output}: {error.strerror}") from error


def summary(recorded: Transcript) -> str:
    """Its contents in words."""
    from ncs_cluster.xlink.transcript import Boot, Frame

    frames = [item for item in recorded.items if isinstance(item, Frame)]
    counts = {
        "boot": sum(isinstance(item, Boot) for item in recorded.items),
        "link": len({frame.handle for frame in frames}),
        "frame": len(frames),
    }
    words = [f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items()]
    return ", ".join(words) + (", payloads cut" if recorded.header.cut else "")


def _opened(path: Path, mode: str) -> IO[bytes]:
    return gzip.open(path, mode) if path.suffix == ".gz" else path.open(mode)  # type: ignore[return-value]

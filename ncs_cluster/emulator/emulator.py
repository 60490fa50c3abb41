"""The emulator for tests: starts the bus process, plugs and pulls sticks, and gives the environment of child processes.

with Emulator(folder, library) as emulator:
    emulator.add("1-1.2", latency_s=0.03)
    subprocess.run([...], env=os.environ | emulator.env)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from ncs_cluster.emulator.control import Control
from ncs_cluster.emulator.server import STICK


class Emulator:
    """A bus without sticks. `library` is the compiled libusb-1.0.so.0 (see `build`), `folder` an empty folder of its own."""

    logs: ClassVar[list[Path]] = []
    """Logs of all emulators this process has started; a failed test shows them."""

    def __init__(
        self,
        folder: Path,
        library: Path,
        *,
        socket: Path | None = None,
        time_scale: float = 1.0,
        chip: str = STICK,
        trace: bool = False,
        python: str = sys.executable,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.socket, self.sysfs, self.libusb = socket or folder / "usb", folder / "sys", library
        self.trace_file, self.log_file = folder / "trace.jsonl", folder / "log"
        self.logs.append(self.log_file)
        command = [python, "-m", "ncs_cluster.emulator", "--socket", str(self.socket), "--sysfs", str(self.sysfs)]
        command += ["--time-scale", str(time_scale), "--chip", chip, "--until-eof"]
        if trace:
            command += ["--trace", str(self.trace_file)]
        with self.log_file.open("w") as log:
            # Ctrl-C is for the programs on the bus: their sticks stay until they have ended
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        self._control = self._connect()

    @property
    def env(self) -> dict[str, str]:
        """Environment in which a child process loads the emulated libusb and a daemon reads the emulated sysfs."""
        paths = [str(self.libusb.parent), os.environ.get("LD_LIBRARY_PATH", "")]
        return {
            "NCS_EMULATOR_SOCKET": str(self.socket),
            "LD_LIBRARY_PATH": ":".join(filter(None, paths)),
            "NCS_CLUSTER_DISCOVERY__SYSFS": str(self.sysfs),
        }

    @property
    def log(self) -> str:
        """Log of the bus: devices that came and left, and refused firmware."""
        return self.log_file.read_text(errors="replace")

    @property
    def trace(self) -> list[dict[str, Any]]:
        """Every call and answer, if the emulator was started with `trace`."""
        return [json.loads(line) for line in self.trace_file.read_text().splitlines()]

    def add(self, port: str = "1-1.2", **profile: Any) -> None:
        """Plug a new stick into a new port. Options: the fields of `port.Profile`, and those of its chip."""
        self.command("add", port=port, **profile)

    def pull(self, port: str = "1-1.2", again_s: float | None = None) -> None:
        self.command("pull", port=port, again_s=again_s)

    def plug(self, port: str = "1-1.2") -> None:
        """Plug the stick that was pulled from this port."""
        self.command("plug", port=port)

    def fault(self, port: str | None, kind: str, **how: Any) -> None:
        """libusb, pull, pace (see `faults`), boot (result, times), flap (times, up_s, down_s), clear; others are the chip's."""
        self.command("fault", port=port, kind=kind, **how)

    def state(self, port: str = "1-1.2") -> dict[str, Any]:
        """The stick's state: state (absent, rom, booting, run, leaving), name, address, claimed_by, counts, chip."""
        state: dict[str, Any] = self.command("state", port=port)
        return state

    def await_state(self, port: str, state: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Raises TimeoutError."""
        until_s = time.monotonic() + timeout_s
        while (now := self.state(port))["state"] != state:
            if time.monotonic() > until_s:
                raise TimeoutError(f"{port} is {now}, not {state}, after {timeout_s} s; {self.log[-500:]}")
            time.sleep(0.005)
        return now

    def reset(self) -> None:
        """Remove all sticks."""
        self.command("reset")

    def command(self, do: str, **what: Any) -> Any:
        """Raises ValueError with the emulator's reason, ConnectionError when it has gone."""
        try:
            return self._control.command(do, **what)
        except ConnectionError as error:
            raise ConnectionError(f"the emulator has gone: {self.log[-2000:]}") from error

    def close(self) -> None:
        """End the bus; further calls of clients return NO_DEVICE."""
        self._control.close()
        self._end()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _connect(self) -> Control:
        until_s = time.monotonic() + 20
        while True:
            try:
                return Control(self.socket)
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until_s:
                    self._end()
                    raise RuntimeError(f"the emulator did not start: {self.log[-2000:]}") from None
                time.sleep(0.005)

    def _end(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

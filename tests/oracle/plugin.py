"""The vendor's plugin in a process of its own, told what to do step by step: the test's side of host.py."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.python39 import Runtime

HOST = Path(__file__).with_name("host.py")


class PluginError(Exception):
    """What the plugin raised, as text."""


class Plugin:
    """A process with OpenVINO 2021.4.2. What it prints is in `printed`."""

    def __init__(self, runtime: Runtime, env: Mapping[str, str], folder: Path) -> None:
        self.folder, self.printed = folder, folder / "printed"
        asked, self._ask = os.pipe()
        self._answers, answer = os.pipe()
        with self.printed.open("wb") as printed:
            self.process = subprocess.Popen(
                [runtime.python, HOST, str(asked), str(answer)],
                env={**runtime.env, **env},
                pass_fds=[asked, answer],
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
        os.close(asked)
        os.close(answer)
        self._lines = os.fdopen(self._answers)
        self._given, self._answer = folder / "given.npz", folder / "answer.npz"

    def say(self, do: str, **order: Any) -> None:
        """Tell it, and do not wait."""
        os.write(self._ask, (json.dumps({"do": do, **order}, default=os.fspath) + "\n").encode())

    def hear(self, timeout_s: float = 60.0) -> Any:
        """The answer to what was said. Raises PluginError, TimeoutError, and EOFError when it has ended."""
        if not select.select([self._answers], [], [], timeout_s)[0]:
            raise TimeoutError(f"no answer from the plugin in {timeout_s} s; it printed {self.printed.read_text(errors='replace')}")
        line = self._lines.readline()
        if not line:
            raise EOFError(f"the plugin's process has ended: {self.process.wait()}; {self.printed.read_text(errors='replace')}")
        answer = json.loads(line)
        if "error" in answer:
            raise PluginError(answer["error"])
        return answer["ok"]

    def do(self, do: str, *, timeout_s: float = 60.0, **order: Any) -> Any:
        self.say(do, **order)
        return self.hear(timeout_s)

    def infer(self, net: str, rows: Mapping[str, Any], *, depth: int = 4) -> dict[str, Any]:
        """Each row of each input, laid out as the plugin takes it, through the graph: output name -> array, in the rows' order."""
        self.ask(net, rows, depth=depth)
        return self.answers()

    def ask(self, net: str, rows: Mapping[str, Any], *, depth: int = 4) -> None:
        """Begin to infer. Then `answers`."""
        np.savez(self._given, **rows)
        self.say("infer", net=net, given=self._given, answer=self._answer, depth=depth)

    def answers(self) -> dict[str, Any]:
        """What was asked last, answered."""
        self.hear()
        with np.load(self._answer) as found:
            return dict(found)

    def end(self) -> None:
        """Let it go, as a program that ends: what it has loaded is closed."""
        self._hang_up()
        self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._hang_up()
        self._lines.close()

    def _hang_up(self) -> None:
        if self._ask >= 0:
            os.close(self._ask)
            self._ask = -1


@contextmanager
def plugin(runtime: Runtime, env: Mapping[str, str], folder: Path) -> Iterator[Plugin]:
    """Running; killed when the block is left unless it was ended."""
    folder.mkdir(parents=True, exist_ok=True)
    running = Plugin(runtime, env, folder)
    try:
        yield running
    finally:
        running.kill()

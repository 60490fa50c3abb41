"""The files of a support bundle. Each is collected by itself: where that fails, it holds the reason."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ncs_cluster.cli.support import machine
from ncs_cluster.cli.support.scrub import FILE_KEY, Scrub
from ncs_cluster.client import Client
from ncs_cluster.errors import NcsClusterError

CONFIGS = ("etc/ncs-cluster/ncs-cluster.toml", "etc/ncs-cluster.toml")
"""Where the service's settings are; the second was the place of earlier versions."""
FOLDERS = ("/", "/run", "/var/lib/ncs-cluster")
"""Folders whose free space is collected."""
UNIT = "ncs-clusterd"
LOG_LINES = 2000
LOG_S, DOCTOR_S = 15.0, 120.0
LARGEST = 1 << 18
"""Characters of one file; of a longer one the end is kept."""
LARGEST_CONFIG, LARGEST_OUTPUT = 1 << 20, 1 << 22


class Bundle:
    """Collects. `files` are bounded texts, scrubbed only by `finished`, when all secrets are known."""

    def __init__(self, runtime_dir: str | None, config: Path | None, root: Path = Path("/")) -> None:
        self._runtime_dir, self._config, self._root = runtime_dir, config, root
        self._scrub = Scrub()
        self._texts: dict[str, str] = {}
        self._pid: int | None = None

    def finished(self) -> dict[str, str]:
        """Every file by name, without secrets."""
        self._add("status.json", self._status)
        self._add("events.jsonl", self._events)
        self._add("command-line.json", self._command_line)
        self._add("settings.json", self._settings)
        self._add("versions.json", lambda: _json(machine.versions()))
        self._add("machine.json", lambda: _json(machine.facts(self._root, FOLDERS)))
        self._add("usb.json", lambda: _json(machine.usb(self._root)))
        self._add("log.txt", lambda: _run(["journalctl", "-u", UNIT, "-n", str(LOG_LINES), "--no-pager", "-o", "short-iso"], LOG_S))
        if find_spec("ncs_cluster.cli.doctor") is not None:
            self._add("doctor.json", self._doctor)
        return {name: self._scrub.text(_end(text)) for name, text in self._texts.items()}

    def _add(self, name: str, collect: Callable[[], str]) -> None:
        try:
            self._texts[name] = collect()
        except (NcsClusterError, OSError, ValueError, subprocess.SubprocessError, RecursionError) as error:
            self._texts[name] = f"cannot be collected: {error}\n"

    def _status(self) -> str:
        with Client(self._runtime_dir) as daemon:
            document = daemon.status_document()
            try:
                query = parse_qs(urlsplit(daemon.url()).query)
            except NcsClusterError:
                query = {}
        for token in query.get("token", []):
            self._scrub.learn(token)
        about = document.get("daemon")
        pid = about.get("pid") if isinstance(about, dict) else None
        self._pid = pid if isinstance(pid, int) else None
        return _json(document)

    def _events(self) -> str:
        import msgspec

        with Client(self._runtime_dir) as daemon:
            events = daemon.events()
            while events and (older := daemon.events(before=events[0].id)) and older[-1].id < events[0].id:
                events = older + events
        return "".join(msgspec.json.encode(event).decode() + "\n" for event in events)

    def _command_line(self) -> str:
        """The daemon's command line; its --config is the file of `settings.json`."""
        if self._pid is None:
            return "no daemon runs\n"
        words = (self._root / "proc" / str(self._pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
        for before, word in zip(["", *words], words, strict=False):
            name, equals, given = word.partition("=")
            if self._config is None and (before == "--config" or (name == "--config" and equals)):
                self._config = Path(word if before == "--config" else given)
            if FILE_KEY.search(before):
                self._scrub.learn_file(Path(word))
            if equals:
                self._scrub.settings(given, name.rpartition(".")[2])
            self._scrub.learn_address(word)
        return _json(words)

    def _doctor(self) -> str:
        words = ["--runtime-dir", self._runtime_dir] if self._runtime_dir is not None else []
        config = ["--config", str(self._config)] if self._config is not None else []
        return _run([sys.executable, "-m", "ncs_cluster.cli.ncsctl", "doctor", "--json", *words, *config], DOCTOR_S)

    def _settings(self) -> str:
        path = self._config or next((place for each in CONFIGS if (place := self._root / each).exists()), None)
        if path is None:
            return f"no settings file: neither --config nor {' nor '.join(f'/{each}' for each in CONFIGS)}\n"
        with path.open("rb") as file:
            data = file.read(LARGEST_CONFIG)
        try:
            tree = tomllib.loads(data.decode("utf-8-sig"))
        except ValueError:
            # a part of a broken file may be a secret
            return f"{path} is no TOML file and is left out\n"
        return _json({"file": str(path), "settings": self._scrub.settings(tree, folder=path.parent)})


def _run(command: list[str], within_s: float) -> str:
    """What a program prints. Raises OSError and SubprocessError."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=within_s, check=False)
    return (done.stdout + done.stderr)[-LARGEST_OUTPUT:].decode("utf-8", "replace")


def _json(document: object) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _end(text: str) -> str:
    """Cut at the end of a line: half a secret would not be known."""
    if len(text) <= LARGEST:
        return text
    kept = text[-LARGEST:]
    return f"(the end only)\n{kept[kept.find(chr(10)) + 1 :]}"

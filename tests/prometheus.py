"""A real Prometheus with the files of deploy/prometheus, which asks one gateway every second."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.needs import need_program
from tests.tied import TIED

FILES = ROOT / "deploy" / "prometheus"
START_S = 60.0


class Prometheus:
    """A server that listens."""

    def __init__(self, address: str) -> None:
        self._address = address

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query. Raises HTTPError where the expression is wrong."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def until(self, expression: str) -> None:
        """Wait until it has a series."""
        until_s = time.monotonic() + START_S
        while not self.query(expression):
            assert time.monotonic() < until_s, f"no series in {START_S:g} s: {expression}\n{self._get('targets')}"
            time.sleep(0.2)

    def _get(self, what: str, **asked: str) -> dict[str, Any]:
        url = f"http://{self._address}/api/v1/{what}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            data: dict[str, Any] = json.loads(answer.read())["data"]
            return data


@contextmanager
def prometheus(folder: Path, target: str, token: str) -> Iterator[Prometheus]:
    """Asks `target` (host:port) as deploy/prometheus/prometheus.yml tells, with the alert rules, until the block is left."""
    program = need_program("prometheus", "prometheus")
    (folder / "token").write_text(token)
    shutil.copy(FILES / "alerts.yml", folder)
    text = (FILES / "prometheus.yml").read_text()
    for given, here in (
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("/etc/prometheus/ncs-cluster.token", str(folder / "token")),
        ("raspberrypi.local:8080", target),
    ):
        assert given in text
        text = text.replace(given, here)
    (folder / "prometheus.yml").write_text(text + "\nglobal: {evaluation_interval: 1s}\n")
    log = folder / "prometheus.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [
                *TIED,
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stderr=written,
            stdout=written,
        )
    try:
        until_s = time.monotonic() + START_S
        while not (
            (bound := re.search(r'msg="Listening on" address=(\S+)', log.read_text())) and "ready to receive" in log.read_text()
        ):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until_s, log.read_text()
            time.sleep(0.05)
        yield Prometheus(bound[1])
    finally:
        process.terminate()
        process.wait(60)

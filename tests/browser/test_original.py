"""The demo of `make run` and the original script beside it: a heat wave, in a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ncs_cluster.client import Client, Refused
from ncs_cluster.errors import NotRunning
from ncs_cluster.status import OriginalStatus
from ncs_cluster.testing.control import some_status
from ncs_cluster.testing.gateway import site
from tests.browser.looking import texts, until
from tests.conftest import ROOT
from tests.needs import need_program
from tests.tied import TIED


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    """The runtime directory of a daemon with the flags of `make run`."""
    need_program("make", "make")
    kept = {name: value for name, value in os.environ.items() if name not in ("GRAPH", "SOURCE", "ARGS", "MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "--dry-run", "run", "VENV=/nowhere"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True, env=kept).stdout
    flags = said.replace("\\\n", " ").partition("/nowhere/bin/ncs-clusterd ")[2].split()
    folders = [f"--runtime-dir={tmp_path / 'run'}", f"--state-dir={tmp_path / 'state'}"]
    start = [*TIED, sys.executable, "-c", "from ncs_cluster.cli.daemon import main; main()", *flags, "--listen=127.0.0.1:0"]
    environment = {name: value for name, value in kept.items() if not name.startswith("NCS_CLUSTER_")}
    daemon = subprocess.Popen([*start, *folders], env=environment)
    try:
        yield tmp_path / "run"
    finally:
        daemon.terminate()
        daemon.wait(60)


def url_of(runtime_dir: Path) -> str | None:
    try:
        with Client(runtime_dir) as daemon:
            return daemon.url()
    except (NotRunning, Refused):
        return None


@pytest.mark.slow
def test_after_a_heat_wave_the_original_stays_hot_and_throttled_and_the_daemon_is_at_its_full_rate_again(
    browser: Any, run_dir: Path
) -> None:
    browser.get(until(lambda: url_of(run_dir), 60))
    until(lambda: texts(browser, ".twin .pill") == ["in turns", "in turns"], 40)
    assert texts(browser, "#twins .chip") == ["simulation"]

    def now() -> tuple[float, float, OriginalStatus]:
        """Our hottest stick, our results per second, and the original."""
        with Client(run_dir) as daemon:
            status = daemon.status()
        assert status.original is not None
        hottest_c = max(stick.temperature_c or 0.0 for stick in status.sticks)
        return hottest_c, sum(camera.detection_fps for camera in status.cameras), status.original

    calm_per_s = until(lambda: now()[0] > 52.0 and now()[1] > 5.0 and now()[1], 120)
    assert not now()[2].latched
    browser.find_element("css selector", "[data-kind=heat]").click()
    until(lambda: texts(browser, ".twin.bad .pill") == ["latched: all sticks work, and stay hot"], 360)
    with Client(run_dir) as daemon:
        pressed = next(event.at for event in daemon.events() if event.who == "fault")
    until(lambda: time.time() > pressed + 50, 60)
    # on a busy machine a reading grows old, and an old one counts as warmer
    _, _, original = until(lambda: (seen := now())[1] >= 0.9 * calm_per_s and seen[0] < 65.0 and seen, 360)
    assert original.latched
    assert max(original.temperatures_c) > 65.0
    assert original.throttled_s > 0.0
    assert texts(browser, "#counters dd")[3].startswith("0")
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_without_an_original_the_page_has_no_place_for_it_and_with_one_it_says_what_that_does(browser: Any, tmp_path: Path) -> None:
    with site(tmp_path) as shown:
        browser.get(shown.url)
        until(lambda: texts(browser, ".stick"), 20)
        assert not browser.find_element("css selector", "#twins").is_displayed()
        original = OriginalStatus([60.1, 69.75, 66.0, 66.0], 27.3, 53.2, 750_001, True)
        shown.control.status = replace(some_status(), original=original)
        until(lambda: len(texts(browser, ".twin")) == 2, 20)
        assert texts(browser, ".twin h3") == ["This daemon, policy ring", "The original script"]
        assert texts(browser, ".twin .celsius") == ["45.0\u202f°C", "69.8\u202f°C"]
        figures = browser.execute_script(
            "return [...document.querySelectorAll('.twin')].map((it) => [...it.querySelectorAll('dd')].map((dd) => dd.textContent))"
        )
        rate = sum(camera.detection_fps for camera in shown.control.status.cameras)
        assert figures == [[f"{rate:.1f}\u202f/s", "0\u202fs", "7"], ["27.3\u202f/s", "53\u202fs", "750,001"]]
        shown.control.status = replace(shown.control.status, graphs=["a", "b"])
        until(lambda: texts(browser, ".twin dd")[0] == f"{2 * rate:.1f}\u202f/s", 20)
        # without a graph a frame is one inference
        shown.control.status = replace(shown.control.status, graphs=[])
        until(lambda: texts(browser, ".twin dd")[0] == f"{rate:.1f}\u202f/s", 20)
        until(lambda: browser.execute_script("return document.querySelectorAll('.twin .path')[1].getAttribute('d')"), 20)
        browser.refresh()
        lines = "return document.querySelectorAll('.twin .path')[1]?.getAttribute('d')?.split('L').length ?? 0"
        until(lambda: browser.execute_script(lines) >= 3, 20)

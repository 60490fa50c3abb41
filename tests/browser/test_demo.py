"""The first minutes of somebody who typed `make run`: the real daemon with simulated sticks, seen through a real browser.

With SCREENSHOT=FILE.png it also takes the picture that the README shows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.client import Client, Refused
from ncs_cluster.errors import NotRunning
from tests.browser.looking import texts, until
from tests.tied import TIED

pytestmark = pytest.mark.slow

DEMO = [
    "--source=synthetic",
    "--backend=simulated",
    "--sticks=4",
    "--cluster-size=2",
    "--switch-temp=65",
    "--switch-interval=100",
    "--set=simulated.time_scale=20",
    "--set=simulated.initial_c=45",
    "--set=simulated.latency_ms=190",
    "--fps=10",
    "--size=320x240",
    "--listen=127.0.0.1:0",
]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where the page of a running demo is."""

    def url() -> str | None:
        try:
            with Client(tmp_path / "run") as daemon:
                return daemon.url()
        except (NotRunning, Refused):
            return None

    command = [*TIED, sys.executable, "-c", "from ncs_cluster.cli.daemon import main; main()", *DEMO]
    folders = [f"--runtime-dir={tmp_path / 'run'}", f"--state-dir={tmp_path / 'state'}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NCS_CLUSTER_")}
    daemon = subprocess.Popen([*command, *folders], env=environment)
    try:
        yield until(url)
    finally:
        daemon.terminate()
        daemon.wait(60)


def warmest(runtime_dir: Path) -> float:
    with Client(runtime_dir) as daemon:
        return max(stick.temperature_c or 0.0 for stick in daemon.status().sticks)


def test_clusters_take_turns_faults_are_survived_and_the_counters_stay_0(browser: Any, address: str, tmp_path: Path) -> None:
    # transitions are drawn sixty times a second, on this processor
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]})
    browser.get(address)
    until(lambda: len(texts(browser, ".stick")) == 4)
    until(lambda: browser.execute_script("return document.querySelector('.camera img.shown')?.naturalWidth") == 320)

    def at_work() -> list[str]:
        return texts(browser, "#ring .visually-hidden")

    if picture := os.environ.get("SCREENSHOT"):
        size = {"width": 1280, "height": 1186, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        time.sleep(60)
        browser.save_screenshot(picture)

    first = until(lambda: at_work()[0].startswith("Active: sim-") and at_work())
    until(lambda: at_work() not in (first, ["No stick is active"]))

    # a heat wave makes them 15 °C warmer; on a busy machine they are less at work, and cooler
    until(lambda: warmest(tmp_path / "run") >= 52)
    browser.find_element("css selector", "[data-kind=heat]").click()
    until(lambda: any("too hot" in event for event in texts(browser, "#events li")))

    browser.find_element("css selector", "[data-kind=unplug]").click()
    until(lambda: "absent" in texts(browser, ".stick .pill"))
    until(lambda: "absent" not in texts(browser, ".stick .pill"))

    browser.find_element("css selector", "[data-kind=hang]").click()
    until(lambda: any("hang" in error for error in texts(browser, ".stick .error")))
    until(lambda: texts(browser, "#state") == ["ok"], 60)

    assert [zero.strip("\u202fs") for zero in texts(browser, "#counters dd")] == ["0", "0", "0", "0"]
    assert [entry["message"] for entry in browser.get_log("browser")] == []

"""A real Chromium, headless. Where there is none the tests skip and say so; with NCS_CLUSTER_CI=1 they fail."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.needs import missing, need_program
from tests.tied import tied_program

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # a page that was left would go on living, with its streams, and be drawn
    "--disable-back-forward-cache",
    "--window-size=1280,1400",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for all tests, with an empty profile."""
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        missing("selenium is not installed")
        return
    others = shutil.which("chromium-browser") or shutil.which("google-chrome")
    binary = shutil.which("chromium") or others or need_program("chromium", "chromium")
    driver = need_program("chromedriver", "chromium-driver")
    options = webdriver.ChromeOptions()
    profile: Path = tmp_path_factory.mktemp("profile")
    options.binary_location = str(tied_program(profile / "browser", [binary]))
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(str(tied_program(profile / "driver", [driver]))))
    browser.get("about:blank")
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """The browser with an empty page, forgetful: no cookies, no logs of earlier tests, desktop size."""
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    for log in ("browser", "performance"):
        chromium.get_log(log)
    yield chromium
    chromium.get("about:blank")

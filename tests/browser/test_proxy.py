"""A real browser behind a real nginx, at the root and below a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.control_messages import Setting
from ncs_cluster.messages import AskSwitch
from ncs_cluster.testing.gateway import TOKEN, site
from tests.browser.test_page import PIXELS, complaints, count, requested, sign_in, text, until
from tests.nginx import locations, nginx

SETTINGS = [Setting("sticks", 4, "--sticks"), Setting("threshold", 0.4, "default")]
ROWS = """
return [...document.querySelectorAll('tbody tr:not([hidden])')].map((row) => [...row.children].map((cell) => cell.textContent));
"""


def rows(browser: Any) -> list[list[str]]:
    """The settings that are shown."""
    found: list[list[str]] = browser.execute_script(ROWS)
    return found


@pytest.mark.parametrize("which", [0, 1], ids=["root", "path"])
def test_the_page_behind_a_proxy_logs_in_moves_and_switches(browser: Any, tmp_path: Path, which: int) -> None:
    location = locations()[which]
    (folder := tmp_path / "nginx").mkdir()
    with site(tmp_path, token=TOKEN) as opened, nginx(folder, location, opened.port) as port:
        opened.live(pictures_per_s=5)
        address = f"http://127.0.0.1:{port}{location.split()[1]}"
        browser.get(address)
        until(lambda: browser.current_url == f"{address}login")
        sign_in(browser, TOKEN)
        until(lambda: count(browser, ".stick") == 4)
        assert browser.current_url == address
        first = until(lambda: browser.execute_script(PIXELS))
        until(lambda: browser.execute_script(PIXELS) != first)
        browser.find_element("css selector", "#switch").click()
        until(lambda: text(browser, "#switch-answer") == "switched to sim-3, sim-4")
        assert any(isinstance(asked, AskSwitch) for asked in opened.control.requests)
        opened.control.settings = SETTINGS
        browser.find_element("css selector", "header a[href=config]").click()
        until(lambda: rows(browser) == [["sticks", "4", "--sticks"], ["threshold", "0.4", "default"]])
        assert browser.current_url == f"{address}config"
        browser.find_element("css selector", "#words").send_keys("STICK 4")
        assert (rows(browser), text(browser, "#shown")) == ([["sticks", "4", "--sticks"]], "1 of 2")
        browser.find_element("css selector", "header a").click()
        until(lambda: browser.current_url == address)
        asked = {each for each in requested(browser) if not each.startswith(("about:", "data:"))}
        assert {each for each in asked if not each.startswith(address)} == set()
        assert complaints(browser) == []

"""The card of the history in a real browser: its lines are the figures of the file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.history.series import Minute, Series
from ncs_cluster.history.store import Store
from ncs_cluster.status import Event
from ncs_cluster.testing.gateway import site
from tests.browser.looking import texts, until

LINES = "return [...document.querySelectorAll('[data-chart=\"°C\"] .past-line')].map((line) => line.getAttribute('d'))"


def test_the_history_is_drawn_with_its_gap_and_its_values_at_the_pointer(browser: Any, tmp_path: Path) -> None:
    store = Store(tmp_path, 30)
    ago = [*range(50, 30, -1), *range(20, 0, -1)]
    store.add(
        [
            Minute(Series("temperature", name), -60.0 * minute, 30.0, 40.0, celsius)
            for minute in ago
            for name, celsius in (("sim-1", 60.0), ("sim-2", 45.5))
        ],
        [
            Event(1, time.time() - 30, "warning", "sim-1", "is <i>too</i> hot"),
            Event(2, time.time() - 10, "info", "sim-1", "is cool"),
        ],
        now_s=0.0,
        wall_s=time.time(),
    )
    store.close()
    with site(tmp_path, history=tmp_path) as opened:
        browser.get(opened.url)
        until(lambda: texts(browser, "#past .spans button"))
        browser.execute_script("document.querySelector('#past').scrollIntoView()")
        until(lambda: texts(browser, "#past .legend li"))
        assert [
            each.get_attribute("textContent") for each in browser.find_elements("css selector", "#past [aria-pressed=true]")
        ] == ["1 h"], "nothing older is recorded"
        assert texts(browser, "#past .past-events summary") == ["1 warning or error, the newest first"]
        browser.execute_script("document.querySelector('#past .past-events').open = true")
        assert texts(browser, "#past .past-events span") == ["sim-1 is <i>too</i> hot"]
        browser.execute_script("document.querySelector('#past .spans button').click()")
        lines = until(lambda: [line for line in browser.execute_script(LINES) if line.count("L") > 10])
        assert len(lines) == 2
        for line in lines:
            # two spans of 20 minutes with nothing between them
            assert [part.count("L") for part in line.split("M")[1:]] == [19, 19]
        heights = [{float(place.split(",")[1].split("h")[0]) for place in line.replace("M", "L").split("L")[1:]} for line in lines]
        assert all(len(each) == 1 for each in heights)
        # 0 °C lies at 168 px from the top, the highest value of the chart 160 px above
        (hot,), (cool,) = heights
        assert (168 - hot) / (168 - cool) == pytest.approx(60.0 / 45.5, abs=0.01)
        assert [each.replace("\u202f", " ") for each in texts(browser, "#past .legend li")] == ["sim-1 60.0 °C", "sim-2 45.5 °C"]
        move = """
            const svg = document.querySelector('[data-chart="°C"] svg'); const box = svg.getBoundingClientRect();
            const x = box.left + 34 + (box.width - 44) * arguments[0];
            svg.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: box.top + 20, bubbles: true }));
        """
        browser.execute_script(move, 0.58)
        assert texts(browser, "#past .legend li strong") == ["–", "–"]
        browser.execute_script(move, 0.9)
        assert [each.replace("\u202f", " ") for each in texts(browser, "#past .legend li strong")] == ["60.0 °C", "45.5 °C"]
        assert texts(browser, "#past .pointer")[0]


def test_the_page_of_a_daemon_without_a_history_says_so(browser: Any, tmp_path: Path) -> None:
    with site(tmp_path) as opened:
        browser.get(opened.url)
        until(lambda: texts(browser, "#past .spans button"))
        browser.execute_script("document.querySelector('#past').scrollIntoView()")
        until(lambda: texts(browser, "#past .past-note") == ["the daemon keeps no history (history_days = 0)"])
        assert texts(browser, "#past figure:not([hidden])") == []

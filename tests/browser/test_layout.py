"""The page's geometry, measured in a real browser: nothing is cut off, nothing overlaps, and no place is left empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ncs_cluster.status import CountersStatus, LatencyStatus
from ncs_cluster.testing.control import some_status
from ncs_cluster.testing.gateway import Site, site
from tests.browser.test_page import PIXELS, count, show, text, until
from tests.nginx import nginx

ESCAPE = "\ue00c"
"""The key, for WebDriver. To import Selenium's own name for it is to import trio, in each process of the run."""
CAMERAS = ("door", "hall", "yard", "garage", "attic", "porch", "lane", "shed", "cellar")
WIDTHS = [400, 1024, 1280, 1400, 1920]

MEASURE = Path(__file__).with_name("measure.js").read_text()


def resize(browser: Any, width: int, height: int = 900) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, cameras=CAMERAS) as opened:
        opened.control.status = some_status(4, 2, CAMERAS[:4])
        opened.live(pictures_per_s=5)
        yield opened


OUTSIDE = """
    const card = document.querySelector("#counters").getBoundingClientRect();
    return [...document.querySelectorAll("#counters dd")].map((each) => {
        const range = document.createRange();
        range.selectNodeContents(each);
        return [each.innerText, range.getBoundingClientRect().right - card.right];
    }).filter(([, over]) => over > -8);
"""
"""Counters whose text is less than 8 pixels from the right edge of their card, or beyond it."""


def choose(browser: Any, scheme: str) -> None:
    """Without transitions, which the browser would draw sixty times a second."""
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    media = {"features": [{"name": name, "value": value} for name, value in features.items()]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    assert browser.execute_script("return matchMedia(`(prefers-color-scheme: ${arguments[0]})`).matches", scheme)


@pytest.mark.parametrize(("cameras", "width"), [*zip((1, 2, 3, 4, 9), WIDTHS, strict=True)])
def test_nothing_is_cut_off_and_no_place_is_empty(browser: Any, shown: Site, cameras: int, width: int) -> None:
    """The page is opened in one width and then seen in all: the wait for each status is most of the time."""
    resize(browser, width)
    shown.control.add_event("switched to sim-3, sim-4: the interval has passed")
    show(browser, shown)
    for sticks in (1, 2, 4, 5, 7, 8):
        shown.control.status = some_status(sticks, 2 if sticks > 2 else 1, CAMERAS[:cameras])
        until(lambda n=sticks: count(browser, ".stick") == n)
        until(lambda n=cameras: count(browser, ".strip li") == (n if n > 1 else 0))
        for width in WIDTHS:
            resize(browser, width)
            for scheme in ("light", "dark"):
                choose(browser, scheme)
                assert browser.execute_script(MEASURE) == [], f"{cameras} cameras, {sticks} sticks, {width} wide, {scheme}"


@pytest.mark.parametrize("width", [400, 1400])
def test_sticks_of_all_states_and_long_words_fit(browser: Any, shown: Site, width: int) -> None:
    states = ["starting", "resting", "absent", "backoff", "quarantined", "draining", "active", "standby", "parked"]
    status = some_status(9, 2, CAMERAS[:2])
    sticks = [
        replace(
            stick,
            id=f"ncs-1-1.4.{at}",
            port=f"USB port 1-1.4.{at} of the hub behind the shelf",
            device="Intel Movidius MyriadX",
            state=state,
            firmware="444c4454.2480",
            resets=at,
            latency_ms=LatencyStatus(1234.5, 12345.6),
            last_error="it stopped answering: no result within 2.1 s; its process was killed and started again",
            temperature_c=65.0 + at,
            parked="its cable is replaced, and the one behind the shelf too, which nobody has reached so far" if at == 8 else None,
        )
        for at, (stick, state) in enumerate(zip(status.sticks, states, strict=True))
    ]
    shown.control.status = replace(status, sticks=sticks)
    resize(browser, width)
    show(browser, shown)
    until(lambda: "ncs-1-1.4.8" in text(browser, "#sticks"))
    assert browser.execute_script(MEASURE) == []


def test_with_real_sticks_the_cards_fill_the_height_too(browser: Any, tmp_path: Path) -> None:
    with site(tmp_path, simulated=False) as opened:
        opened.control.status = some_status(simulated=False)
        opened.live(pictures_per_s=5)
        for width in WIDTHS:
            resize(browser, width)
            show(browser, opened)
            assert browser.execute_script(MEASURE) == []


def test_a_phone_shows_four_cameras_and_four_sticks_on_three_screens(browser: Any, shown: Site) -> None:
    resize(browser, 400, 860)
    show(browser, shown)
    assert browser.execute_script("return document.documentElement.scrollHeight") < 3 * 860


# -- one camera of several


def caption(browser: Any) -> str:
    return text(browser, ".camera h2")


def test_a_camera_is_chosen_in_the_strip(browser: Any, shown: Site) -> None:
    show(browser, shown)
    assert caption(browser) == "door"
    until(lambda: browser.execute_script("return document.querySelectorAll('.strip img.shown').length") == 4)
    browser.find_element("css selector", ".strip li:nth-child(3) button").click()
    until(lambda: caption(browser) == "yard")
    pressed = "return [...document.querySelectorAll('.strip button')].map((each) => each.getAttribute('aria-pressed'))"
    assert browser.execute_script(pressed) == ["false", "false", "true", "false"]
    first = until(lambda: browser.execute_script(PIXELS))
    until(lambda: browser.execute_script(PIXELS) != first)
    shown.control.status = some_status(4, 2, CAMERAS[:2])
    until(lambda: caption(browser) == "door")


def alone(browser: Any) -> bool:
    """One picture, and nothing beside or below it."""
    return bool(
        browser.execute_script(
            "return document.querySelector('.camera').checkVisibility()"
            " && !['.side', '.strip', '#all-sticks', '#machine'].some((each) => document.querySelector(each).checkVisibility())"
        )
    )


def picture_width(browser: Any) -> float:
    return float(browser.execute_script("return document.querySelector('.screen img').getBoundingClientRect().width"))


def test_a_click_enlarges_the_picture_and_another_or_escape_or_back_leaves_it(browser: Any, shown: Site) -> None:
    resize(browser, 1280, 1200)
    show(browser, shown)
    small = picture_width(browser)
    for leave in ("click", "escape", "back"):
        browser.find_element("css selector", ".screen").click()
        until(lambda: alone(browser))
        assert browser.current_url == f"{shown.url}/#camera=door"
        assert picture_width(browser) > 1.4 * small
        first = until(lambda: browser.execute_script(PIXELS))
        until(lambda first=first: browser.execute_script(PIXELS) != first)
        if leave == "click":
            browser.find_element("css selector", ".screen").click()
        elif leave == "escape":
            browser.find_element("css selector", "body").send_keys(ESCAPE)
        else:
            browser.back()
        until(lambda: not alone(browser))
        assert picture_width(browser) == small


@pytest.mark.parametrize("address", ["#camera=hall", "?camera=hall"])
def test_one_camera_has_an_address_of_its_own(browser: Any, shown: Site, address: str) -> None:
    browser.get(f"{shown.url}/{address}")
    until(lambda: caption(browser) == "hall" and alone(browser))
    until(lambda: browser.execute_script(PIXELS))
    assert shown.watched.get("door", [0])[-1] == 0
    browser.find_element("css selector", ".screen").click()
    until(lambda: count(browser, ".strip li") == 4 and not alone(browser))


def test_a_camera_that_is_not_there_is_said(browser: Any, shown: Site) -> None:
    browser.get(f"{shown.url}/?camera=<b>roof")
    until(lambda: "There is no camera <b>roof." in text(browser, "#cameras"))
    assert not browser.find_element("css selector", ".camera").is_displayed()


def test_the_time_for_which_an_ordered_source_is_read_ahead_is_called_so(browser: Any, shown: Site) -> None:
    status = some_status()
    camera = replace(status.cameras[0], ordered=True, latency_ms=LatencyStatus(3433.0, 10219.0))
    shown.control.status = replace(status, cameras=[camera])
    show(browser, shown)
    until(lambda: "3,433 / 10,219" in text(browser, ".camera dl"))
    words = browser.execute_script("return document.querySelector('.camera dl').innerText")
    assert "read ahead p50/p99" in words
    assert "to result" not in words


def test_a_refused_switch_does_not_look_like_a_success(browser: Any, shown: Site) -> None:
    show(browser, shown)
    colour = "return getComputedStyle(document.querySelector('#switch-answer')).color"
    browser.find_element("css selector", "#switch").click()
    until(lambda: text(browser, "#switch-answer") == "switched to sim-3, sim-4")
    done = browser.execute_script(colour)
    shown.control.refusal = "every other cluster is too hot; the active sticks stay active"
    browser.find_element("css selector", "#switch").click()
    until(lambda: text(browser, "#switch-answer") == shown.control.refusal)
    assert browser.execute_script(colour) != done
    shown.control.refusal = None
    browser.find_element("css selector", "#switch").click()
    until(lambda: text(browser, "#switch-answer") == "switched to sim-3, sim-4")
    assert browser.execute_script(colour) == done


def test_where_a_proxy_passes_on_no_stream_the_picture_moves_by_snapshots(browser: Any, tmp_path: Path) -> None:
    (folder := tmp_path / "nginx").mkdir()
    location = r"location ~ \.mjpg$ { return 502; } location / { proxy_pass http://127.0.0.1:8080; }"
    with site(tmp_path) as opened, nginx(folder, location, opened.port) as port:
        opened.live(pictures_per_s=5)
        browser.get(f"http://127.0.0.1:{port}/")
        first = until(lambda: browser.execute_script(PIXELS))
        until(lambda: browser.execute_script(PIXELS) != first)


def test_large_counters_stay_inside_their_card(browser: Any, shown: Site) -> None:
    shown.control.status = replace(some_status(4), counters=CountersStatus(12, 3, 104, 271.8))
    show(browser, shown)
    until(lambda: "271.8" in text(browser, "#counters"))
    for width in WIDTHS:
        resize(browser, width)
        assert browser.execute_script(OUTSIDE) == [], width
    shown.control.status = replace(some_status(4), counters=CountersStatus(0, 0, 0, 604_800.4))
    until(lambda: "604" in text(browser, "#counters"))
    for width in WIDTHS:
        resize(browser, width)
        assert browser.execute_script(OUTSIDE) == [], width

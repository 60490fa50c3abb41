"""The page in a real browser, in front of a real gateway: it lives, it is whole, it fits, and it says when it is cut off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from selenium.common.exceptions import StaleElementReferenceException

from ncs_cluster.control_messages import ChangeStick
from ncs_cluster.messages import AskFault, AskSwitch
from ncs_cluster.status import FleetJobStatus, FleetStatus, LastSwitch, LoadStatus, PoolStatus, ShadowStatus
from ncs_cluster.testing.control import full_status, some_job, some_status, some_stick
from ncs_cluster.testing.gateway import TOKEN, Site, site
from ncs_cluster.types import IntakeClient

HOSTILE = "<img src=x onerror=\"document.title='broken into'\"> & </script>"

PIXELS = """
const image = document.querySelector('.camera img');
if (!image.naturalWidth) return null;
const canvas = document.createElement('canvas');
canvas.width = 64; canvas.height = 48;
const context = canvas.getContext('2d');
context.drawImage(image, 0, 0, 64, 48);
return Array.from(context.getImageData(0, 0, 64, 48).data).join();
"""


def until(holds: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """What `holds` returns once it is true. An element of a page that was just left is not true yet."""
    until_s = time.monotonic() + timeout_s
    while True:
        try:
            if value := holds():
                return value
        except StaleElementReferenceException:
            pass
        assert time.monotonic() < until_s, "it did not come to pass"
        time.sleep(0.05)


def sign_in(browser: Any, token: str) -> None:
    """Type the token, then press Enter: the page may be left while the driver still looks at the field."""
    from selenium.webdriver.common.keys import Keys

    field = browser.find_element("css selector", "#token")
    field.send_keys(token)
    try:
        field.send_keys(Keys.ENTER)
    except StaleElementReferenceException:
        pass


def text(browser: Any, selector: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector))


def count(browser: Any, selector: str) -> int:
    return int(browser.execute_script("return document.querySelectorAll(arguments[0]).length", selector))


def show(browser: Any, shown: Site) -> None:
    """Open the page and wait until it is filled."""
    browser.get(shown.url)
    until(lambda: count(browser, ".stick") and text(browser, "#state") != "connecting…")


def complaints(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def requested(browser: Any) -> set[str]:
    """Every address the page asked for."""
    entries = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return {entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"}


@pytest.fixture(scope="module")
def module_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("page")) as opened:
        opened.live(pictures_per_s=5)
        yield opened


@pytest.fixture
def shown(module_site: Site) -> Site:
    """As new, but for its past: events, and temperatures of some minutes."""
    fake = module_site.control
    fake.status, fake.mute, fake.refusal = some_status(), False, None
    fake.requests.clear()
    until(lambda: module_site.get("/api/status").body == msgspec.json.encode(fake.status))
    return module_site


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as opened:
        yield opened


def test_the_picture_moves(browser: Any, shown: Site) -> None:
    show(browser, shown)
    first = until(lambda: browser.execute_script(PIXELS))
    until(lambda: browser.execute_script(PIXELS) != first)


def test_the_numbers_change_with_the_daemon(browser: Any, shown: Site) -> None:
    show(browser, shown)
    until(lambda: text(browser, ".celsius").startswith("45.0"))
    status = shown.control.status
    clusters = replace(
        status.clusters,
        active=["sim-3", "sim-4"],
        switches=8,
        last_switch=LastSwitch(time.time(), "sim-1 is too hot"),
        next_switch_s=9.9,
    )
    sticks = [some_stick("sim-1", "resting", 66.5), *status.sticks[1:]]
    shown.control.status = replace(status, clusters=clusters, sticks=sticks)
    until(lambda: text(browser, ".celsius").startswith("66.5"))
    assert text(browser, ".stick .pill") == "resting"
    assert "sim-1 is too hot" in text(browser, "#last-switch")
    assert text(browser, "#ring .visually-hidden") == "Active: sim-3, sim-4"
    assert browser.execute_script(
        "return [...document.querySelectorAll('.cluster')].map((it) => it.classList.contains('lit'))"
    ) == [
        False,
        True,
    ]


def test_a_card_tells_what_a_real_stick_tells(browser: Any, shown: Site) -> None:
    status = shown.control.status
    real = replace(some_stick("ncs-1-1.2", "active", 48.0), firmware="444c4454.2480", resets=2, restarts=1, throttle_level=1)
    shown.control.status = replace(status, sticks=[real, *status.sticks[1:]])
    show(browser, shown)
    card = until(lambda: text(browser, ".stick") if "ncs-1-1.2" in text(browser, ".stick") else None)
    assert "1 + 2 resets" in card
    assert "444c4454.2480" in card
    assert "throttled by its firmware" in card
    assert browser.execute_script("return document.querySelectorAll('.stick')[1].innerText.includes('firmware')") is False


def test_a_reload_shows_the_line_that_was(browser: Any, shown: Site) -> None:
    """The gateway remembers what the browser forgot."""
    show(browser, shown)
    line = "return document.querySelector('.line .path')?.getAttribute('d') ?? ''"
    until(lambda: browser.execute_script(line).count("L") >= 3)
    browser.refresh()
    # without that memory it begins with one point
    assert until(lambda: browser.execute_script(line)).count("L") >= 3


def test_events_are_told_newest_first(browser: Any, new_site: Site) -> None:
    new_site.control.add_event("was found")
    show(browser, new_site)
    until(lambda: count(browser, "#events li") == 1)
    new_site.control.add_event("is too hot", level="warning")
    until(lambda: "is too hot" in text(browser, "#events li:first-child"))
    assert "was found" in text(browser, "#events li:last-child")


def test_nothing_is_fetched_from_elsewhere_and_nothing_complains(browser: Any, shown: Site) -> None:
    show(browser, shown)
    until(lambda: browser.execute_script(PIXELS))
    browser.find_element("css selector", "#machine summary").click()
    addresses = requested(browser)
    assert any(address.endswith("/api/live") for address in addresses)
    assert {address for address in addresses if not address.startswith((shown.url, "about:", "data:"))} == set()
    assert complaints(browser) == []


@pytest.mark.parametrize("sticks", [0, 1, 5, 16])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_never_scrolls_sideways(browser: Any, shown: Site, width: int, sticks: int) -> None:
    shown.control.status = some_status(sticks)
    shown.control.add_event("a-word-without-a-place-to-break-it-" * 8)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    )
    browser.get(shown.url)
    until(lambda: text(browser, "#facts") and count(browser, ".stick") == sticks)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_jobs_are_shown_with_their_progress_those_that_run_first(browser: Any, shown: Site) -> None:
    show(browser, shown)
    assert browser.execute_script("return document.querySelector('#jobs').hidden") is True
    ended = [some_job(str(number), "done") for number in range(1, 6)]
    jobs = [*ended, some_job("6", "paused"), some_job("7"), some_job("8", "failed", "/archive: is gone")]
    shown.control.status = replace(shown.control.status, jobs=jobs)
    until(lambda: count(browser, ".job") == 5)
    named = browser.execute_script("return [...document.querySelectorAll('.job h3')].map((it) => it.textContent)")
    assert named == ["job 6", "job 7", "job 8", "job 5", "job 4"]
    second = browser.execute_script(
        "return [...document.querySelectorAll('.job')[1].querySelectorAll('p')].map((it) => it.textContent)"
    )
    assert second == [
        "/archive/2024, /archive/2025 · shapes · into /archive/found-7",
        "12,345 of 20,000 frames · 3 failed · 87.5\u202f/s · 87 s left",
        "",
    ]
    assert browser.execute_script("return document.querySelectorAll('.job progress')[1].value") == 12_345 / 20_000
    assert text(browser, ".job:nth-child(3) .error") == "/archive: is gone"
    shown.control.status = replace(shown.control.status, jobs=[])
    until(lambda: browser.execute_script("return document.querySelector('#jobs').hidden"))


def test_a_job_over_hosts_is_one_card_and_a_drained_host_says_so(browser: Any, shown: Site) -> None:
    show(browser, shown)
    assert browser.execute_script("return document.querySelector('#drain').hidden") is True
    over = FleetJobStatus("1f2e", "photos/2024", "running", 14, 2, 0, 2800, 3, 41.26, 1.7e9, None)
    fleet = FleetStatus("attic", "nats://server", "draining", 2, 1, [over])
    chunk = replace(some_job("7"), chunk_of="1f2e")
    shown.control.status = replace(shown.control.status, jobs=[chunk], fleet=fleet)
    until(lambda: count(browser, ".job") == 1)
    assert text(browser, ".job h3") == "photos/2024"
    facts = browser.execute_script("return [...document.querySelectorAll('.job p')].map((it) => it.textContent)")
    assert facts == [
        "what this host does of a job over hosts",
        "14 chunks · 2,800 frames done · 2 in hand · 3 failed · 41.3\u202f/s",
        "",
    ]
    assert text(browser, "#drain") == (
        "draining: this host takes no chunks of jobs and no frames of other hosts; it still has 2 chunks and 1 frame"
    )
    shown.control.status = replace(shown.control.status, fleet=replace(fleet, drain="no"))
    until(lambda: browser.execute_script("return document.querySelector('#drain').hidden"))


def test_programs_that_send_pictures_are_shown_with_what_is_strange_about_them(browser: Any, shown: Site) -> None:
    show(browser, shown)
    assert browser.execute_script("return document.querySelector('#intakes').hidden") is True
    (intake,) = full_status().intakes
    silent = IntakeClient("10.0.0.3 <b>demo</b>", seen_s=120.0, detail="never sent a frame", handshakes=1)
    shown.control.status = replace(shown.control.status, intakes=[replace(intake, clients=[*intake.clients, silent])])
    until(lambda: count(browser, ".client") == 2)
    words = browser.execute_script("return [...document.querySelectorAll('#intakes p')].map((it) => it.textContent)")
    assert words == [
        "tcp://127.0.0.1:5555 · 78.1\u202f/s · 880 answered · 8 failed · 51\u202fms",
        "10.0.0.2 yolox_nano · 880 of 900 answered · 5 shed · 12 late · 4 handshakes",
        "",
        "10.0.0.3 <b>demo</b> · 0 of 0 answered · 1 handshakes · silent for 2 min",
        "never sent a frame",
    ]
    shown.control.status = replace(shown.control.status, intakes=[])
    until(lambda: browser.execute_script("return document.querySelector('#intakes').hidden"))


def test_hostile_words_stay_words(browser: Any, shown: Site) -> None:
    """Labels, names and error texts come from devices and files: none of them becomes part of the page."""
    status = some_status()
    daemon = replace(status.daemon, state="degraded", reasons=[HOSTILE])
    stick = replace(some_stick("sim-1", "active", 40.0), id=HOSTILE, port=HOSTILE, last_error=HOSTILE)
    camera = replace(status.cameras[0], source=HOSTILE, state="backoff", detail=HOSTILE)
    job = replace(some_job("1", "failed", HOSTILE), sources=[HOSTILE], out=HOSTILE, graph=HOSTILE)
    shown.control.status = replace(status, daemon=daemon, sticks=[stick], cameras=[camera], jobs=[job])
    shown.control.add_event(HOSTILE, who=HOSTILE)
    show(browser, shown)
    until(lambda: text(browser, "#reasons") == HOSTILE)
    assert text(browser, ".stick h3") == HOSTILE
    assert text(browser, ".job .error") == HOSTILE
    until(lambda: HOSTILE in text(browser, "#events li"))
    assert browser.title == "ncs_cluster: degraded"
    assert count(browser, "img[src='x']") == 0


def test_trouble_can_be_made_with_simulated_sticks(browser: Any, shown: Site) -> None:
    show(browser, shown)
    until(lambda: count(browser, "#faults button") == 3)
    for kind in ("heat", "unplug", "hang"):
        browser.find_element("css selector", f"button[data-kind={kind}]").click()
        until(lambda kind=kind: text(browser, "#faults .answer") == f"made trouble: {kind}")
    assert [asked.kind for asked in shown.control.requests if isinstance(asked, AskFault)] == ["heat", "unplug", "hang"]
    assert "20× faster" in text(browser, "#speed")


def test_with_real_sticks_there_is_no_button_for_trouble(browser: Any, tmp_path: Path) -> None:
    with site(tmp_path, simulated=False) as opened:
        opened.control.status = some_status(simulated=False)
        show(browser, opened)
        assert count(browser, "#faults button") == 0
        assert not browser.find_element("css selector", "#faults").is_displayed()
        assert not browser.find_element("css selector", "#speed").is_displayed()


BUTTONS = """
    return [...document.querySelectorAll('.stick')].map((card) =>
        [...card.querySelectorAll('.actions button:not([hidden])')].map((button) => button.dataset.verb).join(' '));
"""


def test_a_stick_is_parked_and_taken_back_by_its_own_buttons(browser: Any, shown: Site) -> None:
    show(browser, shown)
    until(lambda: count(browser, ".stick") == 4)
    browser.find_element("css selector", ".stick:nth-child(2) [data-verb=park]").click()
    until(lambda: text(browser, ".stick:nth-child(2) .answer") == "sim-2: park")
    assert ChangeStick("sim-2", "park") in shown.control.requests
    status = shown.control.status
    parked = replace(status.sticks[1], state="parked", parked=HOSTILE)
    absent = replace(status.sticks[2], state="absent")
    shown.control.status = replace(status, sticks=[status.sticks[0], parked, absent, status.sticks[3]])
    until(lambda: text(browser, ".stick:nth-child(2) .why") == f"parked: {HOSTILE}")
    assert browser.execute_script(BUTTONS) == ["park restart", "work restart", "forget", "park restart"]
    shown.control.refusal = "only the daemon's own user may"
    browser.find_element("css selector", ".stick:nth-child(3) [data-verb=forget]").click()
    until(lambda: text(browser, ".stick:nth-child(3) .answer.refused") == "only the daemon's own user may")
    assert browser.title != "broken into"


def test_the_switch_button_switches(browser: Any, shown: Site) -> None:
    show(browser, shown)
    browser.find_element("css selector", "#switch").click()
    until(lambda: text(browser, "#switch-answer") == "switched to sim-3, sim-4")
    assert any(isinstance(asked, AskSwitch) for asked in shown.control.requests)


def test_a_silent_daemon_is_said_and_forgotten_when_it_speaks(browser: Any, shown: Site) -> None:
    show(browser, shown)
    shown.control.mute = True
    until(lambda: "does not answer" in text(browser, "#lost"), 30)
    assert browser.find_element("css selector", "#lost").is_displayed()
    assert text(browser, "#state") == "unknown"
    shown.control.mute = False
    until(lambda: not browser.find_element("css selector", "#lost").is_displayed(), 30)


def test_a_gateway_that_died_and_came_back_finds_the_page_waiting(browser: Any, tmp_path: Path) -> None:
    """The page says so, keeps its last picture, and goes on by itself."""
    (first := tmp_path / "first").mkdir()
    (second := tmp_path / "second").mkdir()
    with site(first) as opened:
        opened.live(pictures_per_s=5)
        port = opened.port
        show(browser, opened)
        until(lambda: browser.execute_script(PIXELS))
    until(lambda: "Connection lost" in text(browser, "#lost"), 30)
    with site(second, port=port) as again:
        again.live(pictures_per_s=5)
        again.control.status = some_status(sticks=2, cluster_size=1)
        until(lambda: not browser.find_element("css selector", "#lost").is_displayed(), 30)
        until(lambda: count(browser, ".stick") == 2)
        until(lambda: again.watched.get("cam0"))
        first_pixels = until(lambda: browser.execute_script(PIXELS))
        until(lambda: browser.execute_script(PIXELS) != first_pixels)


def test_a_person_logs_in_with_the_token(browser: Any, tmp_path: Path) -> None:
    with site(tmp_path, token=TOKEN) as opened:
        opened.live(pictures_per_s=5)
        browser.get(opened.url)
        assert browser.current_url.endswith("/login")
        sign_in(browser, "wrong")
        until(lambda: browser.find_element("css selector", "#wrong").is_displayed())
        sign_in(browser, TOKEN)
        until(lambda: count(browser, ".stick") == 4)
        assert browser.current_url == opened.url + "/"
        until(lambda: browser.execute_script(PIXELS))
        browser.find_element("css selector", "#switch").click()
        until(lambda: text(browser, "#switch-answer") == "switched to sim-3, sim-4")
        assert browser.execute_script("return document.cookie") == ""


def test_a_page_whose_token_was_replaced_asks_for_the_new_one(browser: Any, tmp_path: Path) -> None:
    (file := tmp_path / "token").write_text(TOKEN)
    file.chmod(0o600)
    with site(tmp_path, token=TOKEN, token_file=file) as opened:
        opened.live(pictures_per_s=5)
        browser.get(f"{opened.url}/?token={TOKEN}")
        until(lambda: count(browser, ".stick") == 4)
        file.write_text("another-token-of-some-length")
        until(lambda: browser.current_url.endswith("/login"))
        sign_in(browser, "another-token-of-some-length")
        until(lambda: count(browser, ".stick") == 4)


def test_an_address_with_the_token_leaves_no_token_in_sight(browser: Any, tmp_path: Path) -> None:
    with site(tmp_path, token=TOKEN) as opened:
        browser.get(f"{opened.url}/?token={TOKEN}")
        until(lambda: count(browser, ".stick") == 4)
        assert browser.current_url == opened.url + "/"


def test_sticks_that_do_not_keep_up_are_told(browser: Any, shown: Site) -> None:
    show(browser, shown)
    assert not browser.find_element("css selector", "#load").is_displayed()
    load = LoadStatus(60.0, 41.0, overloaded=True, limited_by="heat", retry_after_s=1, said=f"the cameras ask for 60/s {HOSTILE}")
    shown.control.status = replace(shown.control.status, load=load)
    until(lambda: text(browser, "#load") == load.said)
    assert [entry for entry in complaints(browser) if "favicon" not in entry] == []


def test_what_predictive_would_do_and_what_is_unusual_about_a_stick_are_shown(browser: Any, shown: Site) -> None:
    show(browser, shown)
    assert not browser.find_element("css selector", "#shadow").is_displayed()
    status = shown.control.status
    shadow = ShadowStatus(True, 40.0, 65.4, 38.2, ["predictive would sustain 65/s, not 38: --cluster-size costs 27/s", HOSTILE])
    pool = PoolStatus("default", "ring", 2, 65.0, 10.0, ["sim-1", "sim-2"], 4.2, 7, False, shadow)
    stick = replace(status.sticks[2], headroom_c=12.34, sustainable_fps=16.42, remarks=["cools 30 % worse than its peers"])
    shown.control.status = replace(status, sticks=[*status.sticks[:2], stick, status.sticks[3]], pools=[pool])
    until(lambda: text(browser, "#shadow") == f"{shadow.said[0]} · {HOSTILE}")
    card = text(browser, ".stick:nth-child(3)")
    assert "cools 30 % worse than its peers" in card
    assert "0.0\u202f/s, up to 16.4" in card
    assert "12.3\u202fK left" in card
    assert [entry for entry in complaints(browser) if "favicon" not in entry] == []

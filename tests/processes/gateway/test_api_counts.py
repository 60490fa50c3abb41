"""Who uses the APIs: the table of clients, and what of a real request counts as what."""

from __future__ import annotations

import json
import socket
import time

from ncs_cluster.processes.gateway.apis.clients import MOST_CLIENTS, Clients
from ncs_cluster.processes.intake import Overloaded, TimedOut
from ncs_cluster.testing.gateway import TOKEN
from ncs_cluster.types import IntakeClient
from tests.processes.gateway.api_site import HEIGHT, WIDTH, ApiSite, api_site, form, jpeg

DETECTION = "/v1/vision/detection"
INFER = "/v2/models/Finder/infer"


def test_a_client_is_an_address_and_an_api() -> None:
    clients = Clients()
    for address, api in (("10.0.0.2", "deepstack"), ("10.0.0.2", "oip"), ("10.0.0.3", "oip"), ("10.0.0.2", "deepstack")):
        clients.heard(address, api, 5.0).asked += 1
    assert [(each.name, each.asked) for each in clients.report(5.0)] == [
        ("10.0.0.2 deepstack", 2),
        ("10.0.0.2 oip", 1),
        ("10.0.0.3 oip", 1),
    ]


def test_the_client_that_was_heard_least_recently_goes_first() -> None:
    clients = Clients()
    for number in range(MOST_CLIENTS):
        clients.heard(f"10.0.0.{number}", "oip", float(number))
    clients.heard("10.0.0.0", "oip", 100.0)
    clients.heard("10.0.1.1", "oip", 101.0)
    names = [each.name for each in clients.report(101.0)]
    assert names == ["10.0.0.0 oip", *(f"10.0.0.{number} oip" for number in range(2, MOST_CLIENTS)), "10.0.1.1 oip"]


def test_how_long_a_client_is_silent_is_told_in_steps() -> None:
    """What has changed is sent to the supervisor."""
    clients = Clients()
    clients.heard("10.0.0.2", "oip", 5.0)
    assert [clients.report(at_s)[0].seen_s for at_s in (5.0, 14.9, 15.0, 24.0, 65.0)] == [0.0, 0.0, 10.0, 10.0, 60.0]


def ask(site: ApiSite, error: Exception | None = None, image: bytes | None = None, **fields: str) -> int:
    site.intake.error = error
    return site.form(DETECTION, image=image or jpeg(), headers={}, **fields).status


def told(site: ApiSite) -> list[IntakeClient]:
    return site.clients.report(time.monotonic())


def test_what_was_answered_shed_late_and_refused_is_counted() -> None:
    with api_site("deepstack", "oip") as site:
        assert [ask(site), ask(site)] == [200, 200]
        assert told(site) == [IntakeClient("127.0.0.1 deepstack", 2, 2)]
        assert ask(site, Overloaded("64 pictures wait already", 3)) == 503
        assert told(site)[0].detail == "1 without an answer, the last: 64 pictures wait already"
        assert ask(site, TimedOut("no answer in 10 s")) == 503
        assert ask(site, image=b"no picture") == 400
        assert str(told(site)[0].detail).startswith("3 without an answer, the last: invalid image file: it is no picture")
        served, site.intake.served = site.intake.served, None
        assert ask(site) == 503
        site.intake.served = served
        why = "4 without an answer, the last: no stick can take a picture now"
        assert told(site) == [IntakeClient("127.0.0.1 deepstack", 6, 2, 1, 0.0, why, shed=2)]
        tensor = {"name": "input", "shape": [1, HEIGHT, WIDTH, 3], "datatype": "UINT8", "data": [7] * HEIGHT * WIDTH * 3}
        assert site.request("POST", INFER, json.dumps({"inputs": [tensor]}).encode()).status == 200
        assert site.request("POST", INFER, b"{").status == 400
        assert site.request("POST", "/v2/models/none/infer", b"{}").status == 404
        oip = told(site)[1]
        assert (oip.name, oip.asked, oip.answered, oip.shed, oip.late) == ("127.0.0.1 oip", 3, 1, 0, 0)
        assert str(oip.detail).startswith("2 without an answer, the last: there is no model 'none'")
        # what is no picture is no request of a client
        assert site.request("GET", "/v2/models/Finder").status == site.request("GET", "/v1/vision/custom/list").status == 200
        assert [each.asked for each in told(site)] == [6, 3]


def test_a_client_that_leaves_had_no_answer_in_time() -> None:
    content_type, body = form(jpeg())
    with api_site("deepstack") as site:
        site.intake.hangs = True
        head = (
            f"POST {DETECTION} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
            connection.sendall(head.encode() + body)
            while not site.intake.pictures:
                assert not site.intake.withdrawn.wait(0.01)
            assert told(site) == [IntakeClient("127.0.0.1 deepstack", 1)], "it waits"
        assert site.intake.withdrawn.wait(60)
        until_s = time.monotonic() + 60
        while not told(site)[0].late:
            assert time.monotonic() < until_s
            time.sleep(0.01)
        assert told(site) == [
            IntakeClient("127.0.0.1 deepstack", 1, late=1, detail="1 without an answer, the last: the client left before it")
        ]


def test_who_has_no_token_makes_no_row() -> None:
    with api_site("deepstack", "oip", token=TOKEN) as site:
        assert ask(site, api_key="wrong") == site.request("POST", INFER, b"{}").status == 401
        assert told(site) == []
        assert ask(site, api_key=TOKEN) == 200
        assert [each.name for each in told(site)] == ["127.0.0.1 deepstack"]

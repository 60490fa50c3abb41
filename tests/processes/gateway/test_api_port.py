"""The port of --api-listen: the APIs without the page, and who needs no token there."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from starlette.requests import Request

from ncs_cluster.messages import Failed, FromGateway, OpenGateway, OpenIntake
from ncs_cluster.processes.gateway.apis.port import PortAuthenticator, is_among
from ncs_cluster.processes.gateway.auth import Authenticator
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.testing.children import running
from ncs_cluster.testing.gateway import GATEWAY, TOKEN, site

LIST = "/v1/vision/custom/list"


def asked(port: PortAuthenticator, client: str, *, path: str = LIST, token: str | None = None, forwarded: str | None = None) -> int:
    """The status with which a GET of this client is refused; 200: it is not."""
    headers = [(b"host", b"192.168.1.7")]
    headers += [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    headers += [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""}
    scope |= {"server": ("192.168.1.7", 32168), "client": (client, 50000)}
    refused = port.refuse(Request(scope), 0.0)
    return 200 if refused is None else refused.status_code


def authenticator(token: str | None, host: str, *clients: str) -> PortAuthenticator:
    spec = GatewaySpec("127.0.0.1", 8080, token, apis=["deepstack"], api_address=(host, 32168), api_clients=list(clients))
    return PortAuthenticator(spec, Authenticator(spec), spec.api_address)


def test_a_named_client_needs_no_token_and_every_other_one_does() -> None:
    for token in (None, TOKEN):
        port = authenticator(token, "0.0.0.0", "192.168.1.20", "10.1.0.0/16")
        assert [asked(port, client) for client in ("192.168.1.20", "::ffff:192.168.1.20", "10.1.255.1")] == [200, 200, 200]
        assert [asked(port, client) for client in ("192.168.1.21", "10.2.0.1", "127.0.0.1", "fe80::1%eth0")] == [401] * 4
        assert asked(port, "192.168.1.21", token=TOKEN) == (401 if token is None else 200)


def test_an_address_that_a_header_claims_opens_nothing() -> None:
    port = authenticator(None, "0.0.0.0", "192.168.1.20")
    assert asked(port, "127.0.0.1", forwarded="192.168.1.20") == 401
    assert asked(port, "192.168.1.21", forwarded="192.168.1.20") == 401


def test_on_this_machine_alone_no_token_is_needed_where_none_is_set() -> None:
    assert asked(authenticator(None, "127.0.0.1"), "127.0.0.1") == 200
    assert asked(authenticator(TOKEN, "127.0.0.1"), "127.0.0.1") == 401


@pytest.mark.parametrize("address", ["", "testclient", "192.168.1.20.1", "::ffff:1.2.3.4.5"])
def test_what_is_no_address_is_in_no_network(address: str) -> None:
    assert not is_among(address, [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")])


def test_the_port_has_the_apis_and_not_the_page(tmp_path: Path) -> None:
    with site(tmp_path, apis=["deepstack", "oip"], api_address=("127.0.0.1", 0)) as opened:
        alone = opened.at_api_port()
        assert alone.port != opened.port
        for each in (opened, alone):
            assert each.get(LIST).json == {
                "success": True,
                "models": [],
                "command": "list-custom",
                "moduleId": "ncs_cluster",
                "code": 200,
            }
            assert each.get("/v2").json["name"] == "ncs_cluster"
        assert "APIs of inference servers alone" in alone.get("/").body.decode()
        for path in ("/api/status", "/metrics", "/cameras/cam0.jpg", "/static/app.js", "/login"):
            assert alone.get(path).status == 404
        assert alone.request("GET", LIST, host="evil.example").status == 421
        assert any(isinstance(message, OpenIntake) for message in opened.child.received)


def test_a_page_without_apis_has_none_and_takes_no_pictures(tmp_path: Path) -> None:
    with site(tmp_path, alone=True) as opened:
        assert opened.api_port is None
        assert opened.get(LIST).status == opened.get("/v2").status == 404
        assert not any(isinstance(message, OpenIntake) for message in opened.child.received)
        modules = Path(f"/proc/{opened.child.process.pid}/maps").read_text()
        assert "numpy" not in modules


def test_a_port_that_is_in_use_is_named_by_its_own_flag(tmp_path: Path) -> None:
    with site(tmp_path) as other, running(GATEWAY, FromGateway) as child:
        spec = GatewaySpec("127.0.0.1", 0, apis=["oip"], api_address=("127.0.0.1", other.port))
        child.send(OpenGateway(spec, str(tmp_path), True))
        failed = child.expect(Failed)
        assert failed.permanent
        assert "choose another with --api-listen" in failed.detail

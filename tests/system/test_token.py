"""A token that is replaced while the daemon runs."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from ncs_cluster.client import Client
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.testing.daemon import running, settings, sticks, synthetic

OLD, NEW = "a-good-long-token-1", "a-good-long-token-2"


def answer(address: str, token: str) -> int:
    place = urlsplit(address)
    asked = urllib.request.Request(f"http://{place.netloc}/api/status", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_new_token_is_in_the_address_that_ncsctl_prints_and_outlives_the_gateway(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(OLD)
    file.chmod(0o600)
    page = GatewaySpec("127.0.0.1", 0, OLD, token_file=str(file))
    with running(settings(tmp_path, sticks(1), [synthetic()], gateway=page)) as daemon:
        daemon.until(lambda status: any("serves" in each for each in daemon.story("page")), "opens the page")

        def address() -> str:
            with Client(daemon.runtime_dir) as client:
                return client.url()

        assert address().endswith(f"?token={OLD}")
        assert answer(address(), OLD) == 200
        file.write_text(NEW)
        daemon.until(lambda status: address().endswith(f"?token={NEW}"), "takes the new token")
        daemon.until(lambda _: answer(address(), NEW) == 200, "is asked with the new token")
        daemon.until(lambda _: answer(address(), OLD) == 401, "is not asked with the old token")
        told = "new token: sessions of the old one have ended"
        daemon.until(lambda _: told in daemon.story("page"), "tells of the new token")
        assert not any(token in str(daemon.events()) for token in (OLD, NEW))
        assert not any(token in daemon.log.read_text() for token in (OLD, NEW))

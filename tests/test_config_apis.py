"""--api and --api-grpc: what they serve, and to whom."""

from __future__ import annotations

import pytest

from ncs_cluster.config import listen, load
from ncs_cluster.specs import Settings
from tests.needs import need_module
from tests.oneconfig import refusal


def settings(*argv: str) -> Settings:
    return load(["--backend", "simulated", "--graph", "demo", *argv], {})


def test_grpc_alone_is_served_without_a_camera_and_without_rest() -> None:
    need_module("grpc")
    given = settings("--api-grpc", "127.0.0.1:8001")
    assert given.gateway is not None
    assert (given.gateway.apis, given.gateway.grpc_address, given.gateway.takes_pictures) == ([], ("127.0.0.1", 8001), True)
    assert given.cameras == []
    assert not settings().gateway.takes_pictures  # type: ignore[union-attr]


def test_grpc_may_be_reached_from_named_machines_without_a_token() -> None:
    need_module("grpc")
    given = settings("--api-grpc", "[::]:8001", "--api-client", "192.168.1.0/24")
    assert given.gateway is not None
    assert (given.gateway.grpc_address, given.gateway.grpc_local, given.gateway.local) == (("::", 8001), False, True)


def test_without_its_library_grpc_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for lacking in ("grpc", "google.protobuf"):
        monkeypatch.setattr(listen, "_installed", lambda module, lacking=lacking: module != lacking)
        line = refusal("--api-grpc", "127.0.0.1:8001")
        assert line == "--api-grpc: grpcio or protobuf is not installed; pip install 'ncs-cluster[grpc]'"

"""A sink that announces a daemon at a NATS server, and the users of docs/fleet.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from ncs_cluster.sinks.fleet import Fleet, Options
from ncs_cluster.status import FleetStatus, Status
from tests.conftest import ROOT
from tests.nats_server import QUIET, NatsServer
from tests.sinks.onebroker import Told

PASSWORD = "canary-4711"
PAGE = (ROOT / "docs/fleet.md").read_text()
CONFIGURATION = textwrap.dedent("    # nats.conf" + PAGE.partition("    # nats.conf")[2].partition("\n\n###")[0])
ONLOOKER = f'{{ user: onlooker, password: "{QUIET}" }}'
USERS = tuple(
    CONFIGURATION.replace("attic", "pi").replace("CHANGE-ME", PASSWORD).replace("users: [", f"users: [\n{ONLOOKER}").splitlines()
)
"""As docs/fleet.md shows it, and one who may do everything."""


def in_fleet(document: Status, node: str = "pi", state: str | None = "no", chunks: int = 0) -> Status:
    """As the core tells of a host at a server."""
    return replace(document, fleet=FleetStatus(node, "nats://server", state, chunks, 0))


class Core:
    """An Observer that tells the status of `daemon`, with what the core makes of what the sink knows. `chunks`: in hand."""

    def __init__(self, daemon: Told, node: str) -> None:
        self._daemon, self._node = daemon, node
        self.sink: Fleet | None = None
        self.chunks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._daemon, name)

    def status(self) -> Status:
        drained = None if self.sink is None else self.sink.work().drained
        state = None if drained is None else "no" if not drained else "draining" if self.chunks else "drained"
        return in_fleet(self._daemon.status(), self._node, state, self.chunks)


@contextmanager
def announced(place: NatsServer, daemon: Told | None = None, core: Core | None = None, **options: Any) -> Iterator[Fleet]:
    """An open sink, closed when the block is left."""
    given = {"node": "pi", **options}
    core = core or Core(daemon or Told(), given["node"])
    opened = core.sink = Fleet(Options(place.url, **given), core)
    assert opened.open(7, None) == (7, b"")
    try:
        yield opened
    finally:
        opened.close()

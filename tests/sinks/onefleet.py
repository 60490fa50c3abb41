"""A sink that announces a daemon at a NATS server, and the users of docs/fleet.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ncs_cluster.sinks.fleet import Fleet, Options
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


@contextmanager
def announced(place: NatsServer, daemon: Told | None = None, **options: Any) -> Iterator[Fleet]:
    """An open sink, closed when the block is left."""
    opened = Fleet(Options(place.url, **{"node": "pi", **options}), daemon or Told())
    assert opened.open(7, None) == (7, b"")
    try:
        yield opened
    finally:
        opened.close()

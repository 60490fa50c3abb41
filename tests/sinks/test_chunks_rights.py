"""The rights that docs/fleet.md gives a host that takes jobs: they suffice for a whole job, and for nothing of another host."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from ncs_cluster.fleet.address import parse
from ncs_cluster.fleet.connection import Server, Unusable, connected, is_forbidden
from ncs_cluster.types import GraphName
from tests.conftest import ROOT
from tests.nats_server import QUIET, nats_server
from tests.sinks.onehost import Daemon, Job, graph, host

PASSWORD = "canary-4711"
PAGE = (ROOT / "docs/fleet.md").read_text()
(RIGHTS,) = re.findall(r"A host that takes jobs needs these besides.*?\n\n    publish: (\[.*?\])\n", PAGE, flags=re.DOTALL)
(OF_GRAPHS,) = re.findall(r"With `\[nats\] graphs = true` these too:\n\n    publish: (\[.*?\])\n", PAGE)
COLLECTOR = '["ncs.>", "$JS.API.>", "$JS.ACK.>"]'


def user(name: str, password: str, publish: str) -> str:
    return f'{{ user: {name}, password: "{password}", permissions: {{ publish: {publish}, subscribe: ["_INBOX.>"] }} }}'


@pytest.mark.parametrize("sent", [False, True])
def test_they_suffice_for_a_job_and_for_no_refusal_in_the_name_of_another(tmp_path: Path, sent: bool) -> None:
    spec = graph(tmp_path)
    job = Job(tmp_path, spec, items=8, sends=sent, carries=sent)
    daemon = Daemon(replace(spec, name=GraphName("own"), threshold=0.9) if sent else spec)
    own = RIGHTS[:-1] + (f", {OF_GRAPHS[1:-1]}" if sent else "") + ', "$JS.API.DIRECT.GET.ncs_drained.ncs.drained.attic"]'
    options = {"user": "attic", "password": PASSWORD, "graphs": str(tmp_path / "guests") if sent else ""}
    users = [user("attic", PASSWORD, own), user("collector", PASSWORD, COLLECTOR), user("onlooker", QUIET, '[">"]')]
    lines = ["authorization {", "users: [", *users, "]", "}"]
    with nats_server(tmp_path, *lines) as place, host(place, tmp_path, daemon, **options):
        job.collect(place, login=("collector", PASSWORD))
        assert job.written() == job.whole

        async def forge() -> None:
            async with connected(Server(parse(place.url), "attic", PASSWORD), "test") as made:
                await made.ask("ncs.refusal.job1.cellar", b"lies")

        with pytest.raises(Unusable) as refused:
            asyncio.run(forge())
        assert is_forbidden(refused.value)

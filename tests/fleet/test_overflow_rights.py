"""The rights that the page names are enough for frames of neighbours, and each host has no more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ncs_cluster.fleet import overflow
from ncs_cluster.fleet.address import parse
from ncs_cluster.fleet.connection import Server, Unusable, connected, is_forbidden
from tests.conftest import ROOT
from tests.nats_server import NatsServer, nats_server

PASSWORD = "canary-4711"
SUBJECT = overflow.subject("0" * 32)


def rights() -> dict[str, str]:
    """The lines of the page for hosts that send and take frames, by their first word."""
    _, _, after = (ROOT / "docs/fleet.md").read_text().partition("A host that sends frames to neighbours needs")
    lines = [line.strip() for line in after.split("\n\n")[1].splitlines()]
    return {line.partition(":")[0]: line for line in lines}


def users() -> list[str]:
    """Of the server's configuration: the sender attic, the receiver cellar."""
    known, inbox = rights(), 'subscribe: ["_INBOX.>"'
    taking = known["subscribe"].replace("[", '["_INBOX.>", ')
    sender = f'{{ user: attic, password: "{PASSWORD}", permissions: {{ {known["publish"]}\n {inbox}] }} }}'
    receiver = (
        f'{{ user: cellar, password: "{PASSWORD}", permissions: {{ publish: ["none"]\n {taking}\n {known["allow_responses"]} }} }}'
    )
    return ["authorization {", f"users: [\n{sender}\n{receiver}\n]", "}"]


def as_user(place: NatsServer, user: str) -> Server:
    return Server(parse(place.url), user, PASSWORD)


def test_a_frame_and_its_answer_pass_and_nothing_else_does(tmp_path: Path) -> None:
    async def meet(place: NatsServer) -> tuple[bytes, list[bool]]:
        async with connected(as_user(place, "attic"), "attic") as attic, connected(as_user(place, "cellar"), "cellar") as cellar:
            heard = await cellar.hear(SUBJECT, overflow.GROUP)
            # the server has the subscription before it answers anything else
            await cellar._client.flush()
            asked = asyncio.ensure_future(attic.ask(SUBJECT, b"frame", overflow.headers("attic", 1.0)))
            message = await heard.next(60.0)
            assert message is not None
            await cellar.tell(message.reply, b"answer")
            answer = await asked
            assert answer is not None
            refused = []
            for work in (cellar.ask(SUBJECT, b""), attic.ask("$JS.API.INFO", b"")):
                with pytest.raises(Unusable) as error:
                    await work
                refused.append(is_forbidden(error.value))
        async with connected(as_user(place, "attic"), "attic") as attic:
            await attic.hear(SUBJECT)
            with pytest.raises(Unusable) as error:
                # the server tells of it when the next answer comes
                await attic.ask(SUBJECT, b"")
            refused.append(is_forbidden(error.value))
        return answer.payload, refused

    with nats_server(tmp_path, *users(), jetstream=False) as place:
        assert asyncio.run(meet(place)) == (b"answer", [True, True, True])

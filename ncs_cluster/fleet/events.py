"""Events of all hosts, in a stream of the NATS server that keeps the last of each.

    ncs_events   ncs.event.NODE

A host sends each event once: the server drops one with an id that it has seen within two minutes. The moment of an event is told by
its age at sending, because the clocks of hosts differ. Runs on CPython 3.9.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, List, NamedTuple, Optional, Tuple

import msgspec
from msgspec import Meta, Struct

from ncs_cluster.fleet.bucket import NOT_FOUND, Fault, Written, answered, said
from ncs_cluster.fleet.connection import Answer, Connection, Unusable
from ncs_cluster.fleet.entry import Count, Figure, Name, Text, name, text_of
from ncs_cluster.status import Event

STREAM, PREFIX = "ncs_events", "ncs.event."
INFO, CREATE, GET = f"$JS.API.STREAM.INFO.{STREAM}", f"$JS.API.STREAM.CREATE.{STREAM}", f"$JS.API.DIRECT.GET.{STREAM}"
PROTOCOL = 1
OF_HOST, MOST_BYTES, LARGEST, KEPT_S = 200, 16 << 20, 4096, 7 * 86400
AT_ONCE = 32
"""Messages that are asked for at the same time."""
CONFIGURATION = {
    "name": STREAM,
    "description": "events of hosts of ncs_cluster",
    "subjects": [f"{PREFIX}*"],
    "retention": "limits",
    "storage": "memory",
    "discard": "old",
    "num_replicas": 1,
    "max_msgs_per_subject": OF_HOST,
    "max_bytes": MOST_BYTES,
    "max_msg_size": LARGEST,
    "max_age": KEPT_S * 10**9,
    "duplicate_window": 120 * 10**9,
    "allow_direct": True,
}


class Told(Struct, frozen=True):
    """What a message holds."""

    protocol: Count
    node: Name
    version: Name
    age_s: Annotated[float, Meta(ge=0, le=1e9)]
    """When it was sent."""
    level: Name
    who: Name
    text: Text
    name: Optional[Name] = None


class FleetEvent(Struct, frozen=True):
    """`at`: Unix seconds, by the server's clock."""

    node: str
    at: Figure
    level: str
    who: str
    text: str
    name: Optional[str] = None


class Events(NamedTuple):
    events: List[FleetEvent]
    last: int
    """Sequence number that `read` goes on after."""


class _State(Struct, frozen=True):
    first_seq: int = 0
    last_seq: int = 0


class _Info(Struct, frozen=True):
    error: Optional[Fault] = None
    state: _State = _State()


def is_told(event: Event) -> bool:
    """Turns of clusters, every few seconds, would leave no room for what happens."""
    return event.level != "info" or event.who != "clusters"


def encoded(event: Event, node: str, version: str, now: float) -> Tuple[str, bytes]:
    """Id and payload. `now`: Unix seconds by the clock that the event has its moment from."""
    told = Told(
        PROTOCOL,
        node,
        name(version),
        round(max(0.0, now - event.at), 2),
        name(event.level),
        name(event.who),
        text_of(event.text),
        None if event.name is None else name(event.name),
    )
    return f"{node}.{event.id}.{event.at:.3f}", msgspec.json.encode(told)


def decoded(payload: bytes, node: str, sent_at: float) -> Optional[FleetEvent]:
    """None: it is none, or of another protocol. `node`: of the subject, which the payload must name. `sent_at`: Unix seconds."""
    if len(payload) > LARGEST:
        return None
    try:
        told = msgspec.json.decode(payload, type=Told)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if told.node != node or told.protocol != PROTOCOL:
        return None
    of = None if told.name is None else name(told.name)
    return FleetEvent(node, sent_at - told.age_s, name(told.level), name(told.who), text_of(told.text), of)


async def tell(connection: Connection, node: str, id: str, payload: bytes) -> None:
    """Raises Unusable."""
    headers = {"Nats-Msg-Id": id}
    answer = await connection.ask(PREFIX + node, payload, headers)
    if answer is None:
        made = answered(await connection.ask(CREATE, msgspec.json.encode(CONFIGURATION)), _Info)
        if made.error is not None:
            raise Unusable(said(made.error))
        answer = await connection.ask(PREFIX + node, payload, headers)
    written = answered(answer, Written)
    if written.error is not None:
        raise Unusable(said(written.error))


async def read(connection: Connection, after: Optional[int], most: int) -> Events:
    """The newest events, oldest first; at most `most`, and those after the sequence number `after` alone. Raises Unusable."""
    info = answered(await connection.ask(INFO, b""), _Info)
    if info.error is not None and info.error.code == NOT_FOUND:
        return Events([], 0)
    if info.error is not None:
        raise Unusable(said(info.error))
    state = info.state
    first = max(state.first_seq, state.last_seq - most + 1, 1)
    # a stream that was made anew begins at 1
    if after is not None and after <= state.last_seq:
        first = max(first, after + 1)
    found: List[FleetEvent] = []
    wanted = range(first, state.last_seq + 1)
    for at in range(0, len(wanted), AT_ONCE):
        asked = [connection.ask(GET, msgspec.json.encode({"seq": sequence})) for sequence in wanted[at : at + AT_ONCE]]
        found += [event for event in map(_event, await asyncio.gather(*asked)) if event is not None]
    return Events(sorted(found, key=lambda event: event.at), state.last_seq)


def _event(answer: Optional[Answer]) -> Optional[FleetEvent]:
    """None: it is gone, or none."""
    if answer is None:
        raise Unusable(f"the stream {STREAM} does not allow direct reads")
    if "Status" in answer.headers:
        return None
    try:
        sent_at = msgspec.convert(answer.headers.get("Nats-Time-Stamp"), datetime).timestamp()
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise Unusable("it does not keep to the protocol of JetStream") from error
    return decoded(answer.payload, answer.headers.get("Nats-Subject", "")[len(PREFIX) :], sent_at)

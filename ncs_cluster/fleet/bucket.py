"""The key-value bucket of the fleet in NATS JetStream, by JetStream's API over requests: as the `nats kv` command and every client
library see it. Key: the node; value: its entry.

It is kept in the server's memory: entries are written again within seconds, and no SD card is worn. Runs on CPython 3.9.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Type, TypeVar, Union

import msgspec
from msgspec import Struct

from ncs_cluster.errors import one_line
from ncs_cluster.fleet.address import NODE
from ncs_cluster.fleet.connection import LONGEST_REASON, Answer, Connection, Unusable
from ncs_cluster.fleet.entry import LARGEST, Entry, Other, decoded

BUCKET = "ncs_fleet"
STREAM, PREFIX = f"KV_{BUCKET}", f"$KV.{BUCKET}."
INFO, CREATE, GET = f"$JS.API.STREAM.INFO.{STREAM}", f"$JS.API.STREAM.CREATE.{STREAM}", f"$JS.API.DIRECT.GET.{STREAM}.{PREFIX}"
AGE_S = 15
"""An entry that is not written again for so long is gone."""
GONE_S = 11.0
MOST_HOSTS, MOST_BYTES = 1000, 16 << 20
AT_ONCE = 32
"""Entries that are asked for at the same time."""
NOT_FOUND, WRONG_SEQUENCE = 404, 10071
"""HTTP-like code, and JetStream's error code."""
CONFIGURATION = {
    "name": STREAM,
    "description": "hosts of ncs_cluster",
    "subjects": [f"{PREFIX}>"],
    "retention": "limits",
    "storage": "memory",
    "discard": "new",
    "num_replicas": 1,
    "max_consumers": -1,
    "max_msgs": -1,
    "max_msgs_per_subject": 1,
    "max_bytes": MOST_BYTES,
    "max_msg_size": LARGEST + 1024,
    "max_age": AGE_S * 10**9,
    "duplicate_window": AGE_S * 10**9,
    "allow_rollup_hdrs": True,
    "deny_delete": True,
    "allow_direct": True,
}
T = TypeVar("T")


class Fault(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class Written(Struct, frozen=True):
    seq: int = 0
    error: Optional[Fault] = None


class State(Struct, frozen=True):
    subjects: Optional[Dict[str, int]] = None


class Info(Struct, frozen=True):
    error: Optional[Fault] = None
    state: State = State()
    ts: Optional[datetime] = None
    """The server's clock; servers before 2.10 do not tell it."""


class Host(NamedTuple):
    """One key."""

    node: str
    age_s: float
    """Since it was written, by the server's clock."""
    entry: Union[Entry, Other]

    @property
    def gone(self) -> bool:
        """Two entries in a row were not written."""
        return self.age_s > GONE_S


class Hosts(NamedTuple):
    hosts: List[Host]
    left_out: int
    """Keys over MOST_HOSTS."""
    drained: FrozenSet[str] = frozenset()
    """Those that shall take no work of the fleet, where that was asked for: see drained.py."""


class Place:
    """One daemon's key."""

    def __init__(self, connection: Connection, node: str) -> None:
        self._connection, self._subject = connection, PREFIX + node
        self._last: Optional[int] = None
        """The sequence number of what was written last, where that is known."""

    async def prepare(self) -> None:
        """Make the bucket where there is none; one that is there stays as it is. Raises Unusable."""
        found = answered(await self._connection.ask(INFO, b""), Info).error
        if found is not None and found.code == NOT_FOUND:
            found = answered(await self._connection.ask(CREATE, msgspec.json.encode(CONFIGURATION)), Info).error
        if found is not None:
            raise Unusable(said(found))

    async def put(self, payload: bytes) -> bool:
        """False: another has written to the key since this one did; it is written nevertheless. Raises Unusable."""
        alone = True
        found = await self._write(payload, {} if self._last is None else _after(self._last))
        if found.error is not None and found.error.err_code == WRONG_SEQUENCE:
            # 0: what was written is gone by its age, as after a suspended machine wakes
            alone = found.error.description.rpartition(" ")[2] == "0"
            found = await self._write(payload, {})
        if found.error is not None:
            raise Unusable(said(found.error))
        self._last = found.seq
        return alone

    async def remove(self) -> None:
        """Delete the key where its value is the one that was written here. Raises Unusable."""
        if self._last is not None:
            await self._write(b"", {**_after(self._last), "KV-Operation": "DEL"})

    async def _write(self, payload: bytes, headers: Dict[str, str]) -> Written:
        answer = await self._connection.ask(self._subject, payload, headers or None)
        if answer is None:
            raise Unusable(f"the bucket {BUCKET} is gone")
        return answered(answer, Written)


async def read(connection: Connection) -> Hosts:
    """All entries, by node. Raises Unusable."""
    info = answered(await connection.ask(INFO, msgspec.json.encode({"subjects_filter": f"{PREFIX}>"})), Info)
    if info.error is not None and info.error.code == NOT_FOUND:
        return Hosts([], 0)
    if info.error is not None:
        raise Unusable(said(info.error))
    nodes = sorted(
        node
        for node in (each[len(PREFIX) :] for each in info.state.subjects or {} if each.startswith(PREFIX))
        if NODE.fullmatch(node)
    )
    wanted = nodes[:MOST_HOSTS]
    answers: List[Optional[Answer]] = []
    for at in range(0, len(wanted), AT_ONCE):
        answers += await asyncio.gather(*[connection.ask(GET + node, b"") for node in wanted[at : at + AT_ONCE]])
    if None in answers:
        raise Unusable(f"the bucket {BUCKET} does not allow direct reads")
    found = [
        (node, written_at(answer), answer.payload)
        for node, answer in zip(wanted, answers)
        # with a status there is no value: it has gone since; a mark says that the daemon has stopped
        if answer is not None and "Status" not in answer.headers and "KV-Operation" not in answer.headers
    ]
    newest = max((at for _, at, _ in found), default=0.0)
    # the clock of this machine may be wrong by minutes
    now = info.ts.timestamp() if info.ts is not None else datetime.now(timezone.utc).timestamp()
    now = max(now, newest)
    return Hosts([Host(node, now - at, decoded(payload, node)) for node, at, payload in found], len(nodes) - len(wanted))


def _after(sequence: int) -> Dict[str, str]:
    return {"Nats-Expected-Last-Subject-Sequence": str(sequence)}


def written_at(answer: Answer) -> float:
    """When a message of a stream was written, Unix seconds by the server's clock. Raises Unusable."""
    try:
        return msgspec.convert(answer.headers.get("Nats-Time-Stamp"), datetime).timestamp()
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise Unusable("it does not keep to the protocol of JetStream") from error


def answered(answer: Optional[Answer], kind: Type[T]) -> T:
    """An answer of JetStream's API. Raises Unusable."""
    if answer is None:
        raise Unusable("it has no JetStream; start nats-server with --jetstream")
    try:
        return msgspec.json.decode(answer.payload, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unusable("it does not keep to the protocol of JetStream") from error


def said(fault: Fault) -> str:
    """Of a server, one line."""
    return one_line(fault.description)[:LONGEST_REASON] or f"it answers {fault.code}"

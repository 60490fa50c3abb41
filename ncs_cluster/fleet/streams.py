"""Messages of JetStream's streams, by its API over requests: what the streams of jobs and of their files have in common. Runs on
CPython 3.9."""

from __future__ import annotations

from typing import Dict, Optional, Set

import msgspec

from ncs_cluster.fleet.address import NODE
from ncs_cluster.fleet.bucket import NOT_FOUND, WRONG_SEQUENCE, Info, Written, answered, said
from ncs_cluster.fleet.connection import Answer, Connection, Unusable

API = "$JS.API."


class Streams:
    """Every method raises Unusable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def _make(self, name: str, how: Dict[str, object]) -> None:
        """Make a stream where it is not there; one that is there stays as it is."""
        found = answered(await self._connection.ask(f"{API}STREAM.INFO.{name}", b""), Info).error
        if found is not None and found.code == NOT_FOUND:
            whole = {"name": name, "storage": "file", "num_replicas": 1, **how}
            made = await self._connection.ask(f"{API}STREAM.CREATE.{name}", msgspec.json.encode(whole))
            found = answered(made, Info).error
        if found is not None:
            raise Unusable(said(found))

    async def _write(self, subject: str, payload: bytes, headers: Optional[Dict[str, str]] = None) -> bool:
        """False: `headers` did not allow it."""
        answer = await self._connection.ask(subject, payload, headers)
        if answer is None:
            raise Unusable(f"no stream has the subject {subject}")
        found = answered(answer, Written).error
        if found is not None and found.err_code == WRONG_SEQUENCE and headers is not None:
            return False
        if found is not None:
            raise Unusable(said(found))
        return True

    async def _newest(self, stream: str, subject: str) -> Optional[Answer]:
        answer = await self._connection.ask(f"{API}DIRECT.GET.{stream}.{subject}", b"")
        if answer is None:
            raise Unusable(f"the stream {stream} does not allow direct reads")
        return None if "Status" in answer.headers else answer

    async def _listed(self, stream: str, before: str, behind: str) -> Set[str]:
        """What stands in one place of the subjects of all messages."""
        subjects = await self._subjects(stream, f"{before}*{behind}")
        named = (
            each[len(before) : len(each) - len(behind)] for each in subjects if each.startswith(before) and each.endswith(behind)
        )
        return {each for each in named if NODE.fullmatch(each)}

    async def _subjects(self, stream: str, matching: str) -> Set[str]:
        """The subjects of all messages that match a filter."""
        request = msgspec.json.encode({"subjects_filter": matching})
        info = answered(await self._connection.ask(f"{API}STREAM.INFO.{stream}", request), Info)
        if info.error is not None:
            raise Unusable(said(info.error))
        return set(info.state.subjects or {})

    async def _purge(self, stream: str, subject: str) -> None:
        await self._connection.ask(f"{API}STREAM.PURGE.{stream}", msgspec.json.encode({"filter": subject}))

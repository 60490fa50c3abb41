"""All jobs over hosts that a NATS server has something of, whether or not their commands run, for those who tidy up."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Dict, List, NamedTuple, Optional

import msgspec

from ncs_cluster.fleet import chunk as form
from ncs_cluster.fleet.address import NODE
from ncs_cluster.fleet.bucket import NOT_FOUND, Info, answered, said, written_at
from ncs_cluster.fleet.chunk import Malformed, Offer
from ncs_cluster.fleet.connection import Connection, Unusable
from ncs_cluster.fleet.jobs import CHUNKS, OFFERS, RESULTS, Jobs
from ncs_cluster.fleet.parcel import FILES, Parcels, chunk_place
from ncs_cluster.fleet.streams import API

MOST = 1000


class OpenJob(NamedTuple):
    """What a server has of one job."""

    job: str
    offer: Optional[Offer]
    """None: it was withdrawn, or cannot be read; the rest was left over."""
    offered_s: Optional[float]
    """How long ago its command has offered it last, by the server's clock."""
    waiting: int
    """Chunks that no host has finished."""
    results: int
    """Of chunks, that no command has fetched."""
    pieces: int
    """Of files that were sent, PIECE bytes each at most."""


async def open_jobs(connection: Connection) -> List[OpenJob]:
    """The longest abandoned first. Raises Unusable."""
    offers = await _info(connection, OFFERS, "ncs.offer.*")
    waiting = _counted(await _info(connection, CHUNKS, "ncs.chunk.*.*"))
    results = _counted(await _info(connection, RESULTS, "ncs.result.*.*.whole"))
    files = _counted(await _info(connection, FILES, "ncs.file.*.*.*"))
    now_s = (offers.ts or datetime.now(timezone.utc)).timestamp()
    found = []
    for job in sorted({*_counted(offers), *waiting, *results, *files})[:MOST]:
        answer = await connection.ask(f"{API}DIRECT.GET.{OFFERS}.ncs.offer.{job}", b"")
        offer, offered_s = None, None
        if answer is not None and "Status" not in answer.headers:
            offered_s = max(0.0, now_s - written_at(answer))
            try:
                offer = form.decoded(answer.payload, Offer)
            except Malformed:
                pass
        found.append(OpenJob(job, offer, offered_s, waiting[job], results[job], files[job]))
    return sorted(found, key=lambda each: -(float("inf") if each.offered_s is None else each.offered_s))


async def forget(connection: Connection, job: str) -> Optional[OpenJob]:
    """As `withdraw`, with its graph where no other job has it; returns what the server had, None: nothing."""
    found = {each.job: each for each in await open_jobs(connection)}
    known = found.pop(job, None)
    if known is None:
        return None
    await withdraw(connection, job)
    graph = _graph(known)
    if graph is not None and graph not in map(_graph, found.values()):
        await Parcels(connection).forget(graph)
    return known


async def withdraw(connection: Connection, job: str) -> None:
    """Remove all that the server has of a job; hosts stop working on it. Raises Unusable."""
    await Jobs(connection).withdraw(job)
    await Parcels(connection).remove(chunk_place(job, "*"))


async def _info(connection: Connection, stream: str, subjects: str) -> Info:
    info = answered(await connection.ask(f"{API}STREAM.INFO.{stream}", msgspec.json.encode({"subjects_filter": subjects})), Info)
    if info.error is not None and info.error.code == NOT_FOUND:
        # no job was ever offered
        return Info()
    if info.error is not None:
        raise Unusable(said(info.error))
    return info


def _graph(each: OpenJob) -> Optional[str]:
    """The hash of the files of its graph."""
    return None if each.offer is None or each.offer.files is None else each.offer.files.parcel.sha256


def _counted(info: Info) -> Dict[str, int]:
    """Messages by job, the third part of their subjects."""
    jobs = (subject.split(".")[2] for subject in info.state.subjects or {} if subject.count(".") >= 2)
    return Counter(job for job in jobs if NODE.fullmatch(job))

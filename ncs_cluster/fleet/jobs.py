"""Jobs over hosts at a NATS server, by JetStream's API over requests.

    ncs_offers   ncs.offer.JOB, ncs.refusal.JOB.NODE    what is to be done, and who takes no part in it
    ncs_chunks   ncs.chunk.JOB.CHUNK                    the work queue: one durable consumer for each job, acknowledged explicitly
    ncs_results  ncs.result.JOB.CHUNK.whole             how a chunk has ended
                 ncs.result.JOB.CHUNK.ATTEMPT.N         pieces of its records
                 ncs.reason.JOB.CHUNK                   why a host could not do it

A chunk is published only where its subject has no message, and of two results the server keeps the first, so nothing is doubled
however late an answer comes. Runs on CPython 3.9.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import BinaryIO, Dict, NamedTuple, Optional, Set, Tuple

import msgspec
from msgspec import Struct

from ncs_cluster.errors import one_line
from ncs_cluster.fleet import chunk as form
from ncs_cluster.fleet.address import NODE
from ncs_cluster.fleet.bucket import Fault, answered, said
from ncs_cluster.fleet.chunk import PIECE, Chunk, Malformed, Offer, Result
from ncs_cluster.fleet.connection import ANSWER_S, Connection, Heard, NoAnswer, Unusable
from ncs_cluster.fleet.streams import API, Streams

OFFERS, CHUNKS, RESULTS = "ncs_offers", "ncs_chunks", "ncs_results"
AGE_S = 14 * 86400
"""What nobody asks for any more is gone after so long."""
DELIVERIES = 3
"""Tries of a chunk, on whichever hosts."""
MOST_OFFERS, MOST_TAKEN = 100, 10_000
ACKNOWLEDGED_S = 2.0
"""Longest wait for the answer to an acknowledgement; below connection.ANSWER_S, after which the server counts as hung."""
ENDED = 10013
"""JetStream's error code: a consumer of that name has other settings."""
FOLDED: Dict[str, object] = {"retention": "limits", "max_msgs_per_subject": 1, "allow_direct": True}
STREAMS: Dict[str, Dict[str, object]] = {
    OFFERS: {"subjects": ["ncs.offer.*", "ncs.refusal.*.*"], **FOLDED},
    CHUNKS: {"subjects": ["ncs.chunk.*.*"], "retention": "workqueue", "discard": "new"},
    RESULTS: {"subjects": ["ncs.result.*.*.>", "ncs.reason.*.*"], **FOLDED, "discard": "new"},
}
FIRST = {"Nats-Expected-Last-Subject-Sequence": "0"}
"""Written only where the subject has no message."""


class Taken(NamedTuple):
    """A chunk that this host has, until it is acknowledged or its time is over."""

    payload: bytes
    reply: str
    """Where it is acknowledged, also by a later connection."""
    deliveries: int
    """From 1."""


class _Consumer(Struct, frozen=True):
    error: Optional[Fault] = None


class Jobs(Streams):
    """The three streams. Every method raises Unusable."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._inbox: Optional[Tuple[str, Heard]] = None
        """Where chunks come."""

    async def prepare(self) -> None:
        """Make the streams where they are not there; those that are there stay as they are."""
        for name, how in STREAMS.items():
            await self._make(name, {"max_age": AGE_S * 10**9, **how})

    # -- the command that collects

    async def offer(self, offer: Offer) -> None:
        """Tell the hosts of a job, and make its queue."""
        queue = {
            "durable_name": offer.job,
            "filter_subject": f"ncs.chunk.{offer.job}.*",
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": round(offer.silent_s * 10**9),
            # hosts count: the one that gets a chunk once too often says so in its result, which outlives any command
            "max_deliver": -1,
            "max_ack_pending": MOST_TAKEN,
            "replay_policy": "instant",
        }
        request = msgspec.json.encode({"stream_name": CHUNKS, "config": queue})
        answer = await self._connection.ask(f"{API}CONSUMER.DURABLE.CREATE.{CHUNKS}.{offer.job}", request)
        if (found := answered(answer, _Consumer).error) is not None and found.err_code != ENDED:
            raise Unusable(said(found))
        await self._write(f"ncs.offer.{offer.job}", form.encoded(offer))

    async def withdraw(self, job: str) -> None:
        """Remove all that is kept of a job."""
        for stream, subject in (
            (OFFERS, "offer"),
            (OFFERS, "refusal"),
            (CHUNKS, "chunk"),
            (RESULTS, "result"),
            (RESULTS, "reason"),
        ):
            await self._purge(stream, f"ncs.{subject}.{job}" + ("" if subject == "offer" else ".>"))
        await self._connection.ask(f"{API}CONSUMER.DELETE.{CHUNKS}.{job}", b"")

    async def publish(self, chunk: Chunk) -> None:
        """Put a chunk into the queue, where it is not there."""
        await self._write(f"ncs.chunk.{chunk.job}.{chunk.chunk}", form.encoded(chunk), FIRST)

    async def waiting(self, job: str) -> Set[str]:
        """Chunks that no host has finished."""
        return await self._listed(CHUNKS, f"ncs.chunk.{job}.", "")

    async def ended(self, job: str) -> Set[str]:
        """Chunks that have a result."""
        return await self._listed(RESULTS, f"ncs.result.{job}.", ".whole")

    async def result(self, job: str, chunk: str) -> Optional[Result]:
        """None: there is none. Raises Malformed."""
        answer = await self._newest(RESULTS, f"ncs.result.{job}.{chunk}.whole")
        return None if answer is None else form.decoded(answer.payload, Result)

    async def reason(self, job: str, chunk: str) -> Optional[str]:
        """Why the last host could not do a chunk."""
        answer = await self._newest(RESULTS, f"ncs.reason.{job}.{chunk}")
        return None if answer is None else one_line(answer.payload.decode(errors="replace"))[:200]

    async def records(self, result: Result, file: BinaryIO) -> None:
        """Write the records of a result into a file. Raises Malformed where they are not whole, OSError."""
        digest, size = hashlib.sha256(), 0
        for piece in range(result.pieces):
            answer = await self._newest(RESULTS, f"ncs.result.{result.job}.{result.chunk}.{result.attempt}.{piece}")
            if answer is None:
                raise Malformed(f"has no piece {piece} of {result.pieces}")
            digest.update(answer.payload)
            size += len(answer.payload)
            file.write(answer.payload)
        if digest.hexdigest() != result.sha256 or size != result.size:
            raise Malformed("has other records than were written")

    async def forget(self, job: str, chunk: str) -> None:
        """Remove the result of a chunk whose records are kept elsewhere."""
        await self._purge(RESULTS, f"ncs.result.{job}.{chunk}.>")
        await self._purge(RESULTS, f"ncs.reason.{job}.{chunk}")

    async def refusals(self, job: str) -> Dict[str, str]:
        """Node -> why it takes no part."""
        found: Dict[str, str] = {}
        for node in sorted(await self._listed(OFFERS, f"ncs.refusal.{job}.", ""))[:MOST_OFFERS]:
            answer = await self._newest(OFFERS, f"ncs.refusal.{job}.{node}")
            if answer is not None and NODE.fullmatch(node):
                found[node] = one_line(answer.payload.decode(errors="replace"))[:200]
        return found

    # -- hosts

    async def offers(self, known: Dict[str, Offer]) -> Dict[str, Offer]:
        """Job -> offer of all that are open. `known`: those that were read before. What cannot be read is left out."""
        found: Dict[str, Offer] = {}
        for job in sorted(await self._listed(OFFERS, "ncs.offer.", ""))[:MOST_OFFERS]:
            if job in known:
                found[job] = known[job]
            elif (answer := await self._newest(OFFERS, f"ncs.offer.{job}")) is not None:
                try:
                    offer = form.decoded(answer.payload, Offer)
                except Malformed:
                    continue
                if offer.job == job:
                    found[job] = offer
        return found

    async def refuse(self, job: str, node: str, why: str) -> None:
        """Say why this host takes no part."""
        await self._write(f"ncs.refusal.{job}.{node}", why.encode()[:400])

    async def take_part(self, job: str, node: str) -> None:
        """Take back what `refuse` has said."""
        await self._purge(OFFERS, f"ncs.refusal.{job}.{node}")

    async def take(self, job: str, longest_s: float) -> Optional[Taken]:
        """The next chunk of a job, waited for at most so long; None: there is none. One that comes too late is the next call's."""
        if self._inbox is None:
            # not by `ask`: a message of a stream comes with the subject it was published with
            name = f"_INBOX.{os.urandom(12).hex()}"
            self._inbox = name, await self._connection.hear(name)
        inbox, heard = self._inbox
        wait: Dict[str, object] = {"expires": round(longest_s * 10**9)} if longest_s else {"no_wait": True}
        request = msgspec.json.encode({"batch": 1, **wait})
        await self._connection.tell(f"{API}CONSUMER.MSG.NEXT.{CHUNKS}.{job}", request, reply=inbox)
        answer = await heard.next(longest_s + ANSWER_S)
        # a status without a message: no message, a time that is over, a consumer that is gone
        if answer is None or not answer.reply or "Status" in answer.headers:
            return None
        return Taken(answer.payload, answer.reply, deliveries(answer.reply))

    async def working(self, taken: Taken) -> None:
        """The chunk is worked on: its time begins anew."""
        await self._connection.tell(taken.reply, b"+WPI")

    async def done(self, taken: Taken) -> None:
        """Nobody needs to work on the chunk any more."""
        await self._acknowledge(taken, b"+ACK")

    async def again(self, taken: Taken, job: str, chunk: str, why: str, after_s: float) -> None:
        """Another host shall try."""
        await self._write(f"ncs.reason.{job}.{chunk}", why.encode()[:400])
        await self._acknowledge(taken, b"-NAK " + msgspec.json.encode({"delay": round(after_s * 10**9)}))

    async def lost(self, taken: Taken, job: str, chunk: str, why: str) -> None:
        """Take the chunk out of the queue without a result: its files are not at the server, and the command sends them again."""
        await self._write(f"ncs.reason.{job}.{chunk}", why.encode()[:400])
        await self.done(taken)

    async def _acknowledge(self, taken: Taken, how: bytes) -> None:
        """A server that has lost its disk knows nothing of the delivery, and does not answer. What is missing is published anew."""
        with contextlib.suppress(NoAnswer):
            await self._connection.ask(taken.reply, how, longest_s=ACKNOWLEDGED_S)

    async def put(self, result: Result, records: Optional[BinaryIO]) -> bool:
        """Write a result: the pieces of its records first, then its description. False: another one is there already. Raises
        OSError."""
        if records is not None:
            digest, size, piece = hashlib.sha256(), 0, 0
            while part := records.read(PIECE):
                if piece >= form.MOST_PIECES:
                    raise Malformed(f"has records of more than {form.MOST_PIECES * PIECE} bytes")
                await self._write(f"ncs.result.{result.job}.{result.chunk}.{result.attempt}.{piece}", part)
                digest.update(part)
                size, piece = size + len(part), piece + 1
            result = msgspec.structs.replace(result, pieces=piece, size=size, sha256=digest.hexdigest())
        if await self._write(f"ncs.result.{result.job}.{result.chunk}.whole", form.encoded(result), FIRST):
            return True
        await self._purge(RESULTS, f"ncs.result.{result.job}.{result.chunk}.{result.attempt}.*")
        return False


def deliveries(reply: str) -> int:
    """How often a message was delivered, as the subject of its acknowledgement says: $JS.ACK.STREAM.CONSUMER.DELIVERED, or
    $JS.ACK.DOMAIN.ACCOUNT.STREAM.CONSUMER.DELIVERED, and more. Raises Unusable."""
    parts = reply.split(".")
    place = 4 if len(parts) < 11 else 6
    try:
        return int(parts[place])
    except (IndexError, ValueError) as error:
        raise Unusable("it does not keep to the protocol of JetStream") from error

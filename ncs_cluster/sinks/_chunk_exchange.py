"""What a host and the server tell each other of chunks, over one connection: the host takes them, says that it works on them, and
how they have ended; and why it takes no part in a job. Runs on CPython 3.9.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Callable, Dict, List, Optional

from ncs_cluster.errors import format_os_error
from ncs_cluster.fleet import chunk
from ncs_cluster.fleet.chunk import Malformed, Offer, Result
from ncs_cluster.fleet.jobs import DELIVERIES, Jobs, Taken
from ncs_cluster.fleet.parcel import Parcels, chunk_place
from ncs_cluster.jobs.schema import LedgerError
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._held_chunk import FAILED, LOST, OVER, WHOLE, Held
from ncs_cluster.sinks._host_of_chunks import Host

TURN_S = 0.1
WAIT_S = 2.0
"""For a chunk."""
AGAIN_S = 2.0
"""Before another host gets what this one could not do."""

log = logging.getLogger(__name__)


class Exchange:
    """Every method raises Unusable."""

    def __init__(self, jobs: Jobs, parcels: Parcels, host: Host, node: str, stir: Callable[[], None]) -> None:
        """`stir`: called when the thread that asks the daemon has something to do."""
        self._jobs, self._parcels, self._host, self._node, self._stir = jobs, parcels, host, node, stir
        self._told: Dict[str, Optional[str]] = {}
        """Job -> the reason that `refuse` has sent; None: that the host takes part."""

    async def refuse(self, verdicts: Dict[str, Optional[str]]) -> None:
        """Say what is new of the jobs that this host takes no part in: job -> why; None: it does."""
        for job, why in verdicts.items():
            if why is not None and self._told.get(job) != why:
                await self._jobs.refuse(job, self._node, why)
            elif why is None and self._told.get(job, "") is not None:
                # also what a process before this one has said
                await self._jobs.take_part(job, self._node)
            self._told[job] = why

    async def take(self, fits: List[str], offers: Dict[str, Offer]) -> None:
        """One chunk of the jobs that fit, of the one of which this host has the fewest."""
        having = {job: sum(key[0] == job for key in list(self._host.held)) for job in fits}
        for job in sorted(having, key=lambda each: (having[each], each)):
            offer = offers.get(job)
            taken = None if offer is None else await self._jobs.take(job, WAIT_S if len(having) == 1 else 0.0)
            if offer is not None and taken is not None:
                await self._begin(offer, taken)
                return
        if len(having) > 1:
            await asyncio.sleep(WAIT_S / 2)

    async def _begin(self, offer: Offer, taken: Taken) -> None:
        try:
            given = chunk.decoded(taken.payload, chunk.Chunk)
            chunk.check(given)
        except Malformed as error:
            # nobody can do it: the command that collects publishes what is missing
            log.warning("a chunk of job %s %s", offer.job, error)
            await self._jobs.done(taken)
            return
        if given.job != offer.job:
            await self._jobs.done(taken)
        elif taken.deliveries > DELIVERIES:
            last = await self._jobs.reason(given.job, given.chunk)
            why = f"given up after {DELIVERIES} tries: {last or 'no host has finished it'}"
            await self._jobs.put(Result(given.protocol, given.job, given.chunk, self._node, given_up=why), None)
            await self._jobs.done(taken)
        else:
            # what is left of its last try goes first
            while self._host.leaves(given):  # noqa: ASYNC110 - another thread removes it
                await asyncio.sleep(TURN_S)
            try:
                self._host.add(offer, given, taken)
                self._stir()
            except OSError as error:
                await self._jobs.again(taken, given.job, given.chunk, format_os_error(error), AGAIN_S)

    async def tell(self, held: Held, offers: Dict[str, Offer]) -> None:
        """Say of a chunk what has become of it."""
        now_s = time.monotonic()
        if held.state == OVER:
            return
        if held.chunk.job not in offers:
            held.unwanted = True
            self._over(held)
        elif held.state == WHOLE:
            await self._finish(held)
        elif held.state == FAILED:
            await self._fail(held, held.why)
        elif held.state == LOST:
            await self._jobs.lost(held.taken, held.chunk.job, held.chunk.chunk, f"{self._node}: {held.why}")
            self._over(held)
        elif now_s >= held.told_s + held.offer.silent_s / 3:
            held.told_s = now_s
            await self._jobs.working(held.taken)

    async def _finish(self, held: Held) -> None:
        given = held.chunk
        try:
            with held.open_records() as records:
                await self._jobs.put(held.result(self._node), records)
        except (LedgerError, ValueError, OSError) as error:
            await self._fail(held, reason(error))
            return
        await self._jobs.done(held.taken)
        self._over(held)
        if given.parcel is not None:
            await self._parcels.remove(chunk_place(given.job, given.chunk))

    async def _fail(self, held: Held, why: str) -> None:
        await self._jobs.again(held.taken, held.chunk.job, held.chunk.chunk, f"{self._node}: {why}", AGAIN_S)
        self._over(held)

    def _over(self, held: Held) -> None:
        """The server knows what has become of a chunk: the other thread removes its folder."""
        held.state = OVER
        self._stir()

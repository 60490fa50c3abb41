"""The side of a job over hosts that publishes its chunks and collects their results.

Nothing of it is kept beside the ledger: what is published and what has ended stands at the server, so a command that was killed, a
server that has lost everything, and a host that comes back late all end in the same way. A chunk that is neither in the queue nor
has a result is published.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import BinaryIO

from ncs_cluster.cli.run import chunking, divided_film
from ncs_cluster.cli.run.carrying import Carrier
from ncs_cluster.cli.run.chunking import Cut, Named
from ncs_cluster.cli.run.divided_film import DividedFilm
from ncs_cluster.cli.run.feeding import Feeder
from ncs_cluster.cli.run.filling import Filler
from ncs_cluster.cli.run.sent_graph import SentGraph
from ncs_cluster.fleet.chunk import DIVIDED, Chunk, Malformed, Offer, Result, Root
from ncs_cluster.fleet.connection import Server, Unusable, connected
from ncs_cluster.fleet.entry import PROTOCOL
from ncs_cluster.fleet.jobs import Jobs
from ncs_cluster.fleet.parcel import Parcels
from ncs_cluster.jobs.ledger import Item, Ledger
from ncs_cluster.sinks.records import read
from ncs_cluster.sources._item_kind import is_film

WINDOW = 200
"""Chunks that are published before their turn to be written."""
LOOK_S = 0.3
SEND_S = 1.0
"""For which files are sent before the next look."""
AGAIN_S = 1.0
FULL_S = 2.0
REFUSALS_S = 5.0
OFFER_S = 30.0
"""Between two writes of the job's offer: its age tells whether the command runs, and a removed offer is written again."""
LONELY_S = 20.0
BAD_RESULTS = 3
"""Results of one chunk that are no results, after which its items are given up."""


class Collector:
    """One job. `show()` is called often; `say(line)` tells the user something once."""

    def __init__(
        self,
        ledger: Ledger,
        feeder: Feeder,
        offer: Offer,
        roots: list[Root],
        size: int,
        show: Callable[[], None],
        say: Callable[[str], None],
        graph: SentGraph | None = None,
        carrier: Carrier | None = None,
    ) -> None:
        """`graph`: for hosts that lack it. `carrier`: None where hosts have the files below their mounts."""
        self._ledger, self._feeder, self._offer, self._roots = ledger, feeder, offer, roots
        self._show, self._graph, self._carrier = show, graph, carrier
        self._say_line, self._said = say, set[str]()
        turn, divides = ledger.written, offer.protocol == DIVIDED
        cuts = chunking.retried(ledger, size, turn) if ledger.retry else chunking.cuts(ledger, size, ledger.place(turn).item)
        first = next(cuts, None)
        self._turn = turn if first is None else ledger.turn_of(ledger.first_frame(first.first))
        if divides and first is not None and (film := divided_film.kept(ledger, first.first)) is not None:
            self._turn += film.at.first
        self._window: deque[Cut] = deque()
        self._filler = Filler(ledger, chain([] if first is None else [first], cuts), divides=divides)
        self._split: set[int] = set()
        """First items of chunks that are done item by item."""
        self._bad: dict[str, int] = {}
        """How many results of a chunk were none."""
        self._fed: list[tuple[int, list[str]]] = []
        """Chunks whose results still lie at the server, and the turn behind each."""
        self._alone_s = 0.0

    async def run(self, server: Server) -> None:
        """Returns when all is written. Raises OSError, LedgerError."""
        try:
            while not await self._connected(server):
                self._show()
                await asyncio.sleep(AGAIN_S)
        finally:
            await self._filler.close()

    async def _connected(self, server: Server) -> bool:
        """One connection. False: the server cannot be used."""
        try:
            async with connected(server, "ncsctl run") as connection:
                jobs = Jobs(connection)
                await jobs.prepare()
                parcels = Parcels(connection)
                await parcels.prepare()
                if self._carrier is not None:
                    await self._carrier.begin(parcels)
                await jobs.offer(self._offer)
                await self._session(jobs, parcels)
                await asyncio.to_thread(self._feeder.finish, self._turn)
                await jobs.withdraw(self._offer.job)
                if self._carrier is not None:
                    await self._carrier.withdraw(parcels)
                if self._graph is not None:
                    await self._graph.remove(parcels, await jobs.offers({}))
            return True
        except Unusable as error:
            self._say(f"the NATS server {server.address} cannot be used: {error}; trying again")
            return False

    async def _session(self, jobs: Jobs, parcels: Parcels) -> None:
        loop = asyncio.get_running_loop()
        refusals_s, lonely_s = loop.time() + REFUSALS_S, loop.time() + LONELY_S
        offer_s = loop.time() + OFFER_S
        while True:
            await self._filler.fill(self._window, WINDOW, LOOK_S)
            if not self._window and self._filler.done:
                return
            job = self._offer.job
            # a host writes the result before it acknowledges: what is not in the queue any more has one by then
            waiting = await jobs.waiting(job)
            ended = await jobs.ended(job)
            if ended:
                lonely_s = loop.time() + LONELY_S
            refused = self._carrier.refused if self._carrier is not None else {}
            while self._window and all(name in ended or name in refused for name, _ in self._chunks(self._window[0])):
                if not await self._collect(jobs, self._window[0]):
                    break
            await self._forget(jobs, ended)
            if self._carrier is not None:
                await self._carrier.forget(parcels, ended, waiting)
            await self._publish(jobs, parcels, waiting, ended)
            self._show()
            if self._graph is not None:
                await self._graph.send(parcels)
            now_s = loop.time()
            if now_s >= refusals_s:
                refusals_s = now_s + REFUSALS_S
                for node, why in (await jobs.refusals(job)).items():
                    self._say(f"{node} takes no part: {why}")
            if now_s >= offer_s:
                offer_s = now_s + OFFER_S
                await jobs.offer(self._offer)
            if now_s >= lonely_s and waiting and not ended:
                self._say(f"no host has done a chunk for {LONELY_S:.0f} s; hosts need [nats] jobs = true and this server's url")
            if self._window or not self._filler.done:
                await asyncio.sleep(LOOK_S)

    async def _publish(self, jobs: Jobs, parcels: Parcels, waiting: set[str], ended: set[str]) -> None:
        """Publish what is neither in the queue nor has a result, in order; with files for SEND_S at most."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + SEND_S
        for cut in self._window:
            for name, items in self._chunks(cut):
                if name in waiting or name in ended:
                    continue
                chunk = self._chunk(name, items, cut)
                if self._carrier is None:
                    await jobs.publish(chunk)
                    continue
                if name in self._carrier.refused:
                    continue
                if not await self._carrier.send(jobs, parcels, chunk, [each.item for each in items]) or loop.time() >= until_s:
                    return
                if name in self._carrier.refused and len(items) > 1:
                    self._split.add(cut.first)

    # -- chunks

    def _chunks(self, cut: Cut) -> list[tuple[str, list[Named]]]:
        if cut.film is not None:
            return [(cut.film.names(cut.part)[-1], cut.items)]
        if cut.first in self._split:
            return [(f"{each.item.number}-1", [each]) for each in cut.items]
        return [(str(cut.first), cut.items)]

    def _chunk(self, name: str, items: list[Named], cut: Cut) -> Chunk:
        part = None if cut.film is None else cut.film.part(cut.part)
        named = [(each.root, each.name) for each in items]
        return Chunk(self._offer.protocol, self._offer.job, name, self._roots, named, part=part)

    async def _collect(self, jobs: Jobs, cut: Cut) -> bool:
        """Write the records of the chunk whose turn it is. False: it has to be done anew."""
        if cut.film is not None:
            return await self._collect_part(jobs, cut, cut.film)
        chunks = self._chunks(cut)
        for name, items in chunks:
            result = await self._result(jobs, name)
            if result is None:
                return False
            if result.given_up is not None and len(items) > 1:
                self._say(f"chunk {name}: {result.given_up}; its items are tried one by one")
                self._split.add(cut.first)
                return False
            if not await self._write(jobs, name, items, result):
                return False
        # what was split keeps its result until its items are written: a later command splits it again
        self._fed.append((self._turn, [name for name, _ in chunks] + [str(cut.first)]))
        self._window.popleft()
        return True

    async def _collect_part(self, jobs: Jobs, cut: Cut, film: DividedFilm) -> bool:
        """As `_collect`, for a part of a film."""
        (name, (named,)), item = self._chunks(cut)[0], cut.items[0].item
        result = await self._result(jobs, name)
        if result is None:
            return False
        if result.given_up is not None:
            why = result.given_up
            self._turn = await self._patiently(lambda: self._feeder.give_up_part(self._turn, film, item, why))
        else:
            try:
                if not film.fits(result.edges):
                    self._drop(film)
                    return False
            except Malformed as error:
                await self._anew(jobs, name, error)
                return False
            if not await self._write(jobs, name, [named], result, film):
                return False
        self._fed.append((self._turn, film.names(cut.part)))
        self._window.popleft()
        self._drop(film)
        return True

    def _drop(self, film: DividedFilm) -> None:
        """Forget parts that need not be done: behind its last frame that can be decoded, a file may have more packets."""
        self._window = deque(cut for cut in self._window if cut.film is not film or film.has(cut.part))

    async def _result(self, jobs: Jobs, name: str) -> Result | None:
        if self._carrier is not None and (why := self._carrier.refused.get(name)) is not None:
            return Result(PROTOCOL, self._offer.job, name, "ncsctl", given_up=why)
        if self._bad.get(name, 0) >= BAD_RESULTS:
            return Result(
                PROTOCOL, self._offer.job, name, "ncsctl", given_up=f"{BAD_RESULTS} hosts have given results that are none"
            )
        try:
            result = await jobs.result(self._offer.job, name)
            if result is None or (result.job, result.chunk) == (self._offer.job, name):
                return result
            raise Malformed("is of another chunk")
        except Malformed as error:
            await self._anew(jobs, name, error)
            return None

    async def _write(self, jobs: Jobs, name: str, items: list[Named], result: Result, film: DividedFilm | None = None) -> bool:
        """Moves the turn behind the chunk's last frame. False: its records are none."""
        bare = [each.item for each in items]
        if result.given_up is not None:
            (item,) = bare
            whole = is_film(item)
            self._turn = await self._patiently(lambda: self._feeder.give_up(self._turn, item, str(result.given_up), film=whole))
            return True
        with tempfile.TemporaryFile() as records:
            try:
                await jobs.records(result, records)
                self._turn = await self._patiently(lambda: self._feed(bare, result, records, film))
            except (Malformed, ValueError) as error:
                await self._anew(jobs, name, error)
                return False
        return True

    def _feed(self, items: list[Item], result: Result, records: BinaryIO, film: DividedFilm | None) -> int:
        records.seek(0)
        if film is None:
            return self._feeder.feed(self._turn, items, result.lengths, read(records))
        return self._feeder.feed_part(self._turn, film, items[0], result.lengths, result.edges, read(records))

    async def _anew(self, jobs: Jobs, name: str, error: ValueError) -> None:
        """Publish a chunk again whose result cannot be used."""
        self._bad[name] = self._bad.get(name, 0) + 1
        self._say(f"the result of chunk {name} {error}; it is done anew")
        await jobs.forget(self._offer.job, name)

    async def _patiently(self, write: Callable[[], int]) -> int:
        """A full disk is waited for, as by a sink."""
        while True:
            try:
                return await asyncio.to_thread(write)
            except OSError as error:
                self._ledger.must_be_there()
                self._say(f"the outputs cannot be written: {error.strerror or error}; trying again")
                self._show()
                await asyncio.sleep(FULL_S)

    async def _forget(self, jobs: Jobs, ended: set[str]) -> None:
        """Remove results that are written durably, and those of hosts that were late."""
        written = self._ledger.written
        while self._fed and self._fed[0][0] <= written:
            for name in self._fed.pop(0)[1]:
                await jobs.forget(self._offer.job, name)
        kept = {name for _, names in self._fed for name in names}
        if self._window:
            for name in ended - kept:
                if divided_film.place_of(name) < self._window[0].place:
                    await jobs.forget(self._offer.job, name)

    def _say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say_line(line)

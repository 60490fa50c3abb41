"""Looks over the shoulder of a virtual world: whatever happens, these things must hold at every action and at every step."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.core.child import State
from ncs_cluster.core.engine import Engine
from ncs_cluster.testing.processes import Process, Worker
from ncs_cluster.testing.world import World

OPENING = (m.OpenStick, m.OpenSource, m.OpenSink, m.OpenGateway)


class Referee:
    """Attach it before `world.start()`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.opened: set[Process] = set()
        self.tickets: set[int] = set()
        self.reconfigured = False
        """Settings have changed: frames of a camera may begin anew."""
        world.watchers.append(self.watch)

    @property
    def engine(self) -> Engine:
        return self.world.engine

    # -- at every action

    def watch(self, action: a.Action) -> None:
        match action:
            case a.Spawn(endpoint=endpoint):
                assert endpoint not in self.world.processes, f"{endpoint} would run twice"
            case a.Send(to=to, message=message):
                self.first_word(to, message)
                if isinstance(message, m.Infer):
                    self.infer(to.name, message)
                elif isinstance(message, m.Grant):
                    self.grant(message)
                elif isinstance(message, m.Measure):
                    frame = message.frame
                    assert self.world.pixels[frame.pool, frame.slot] == (frame.camera, frame.frame)

    def first_word(self, to: Any, message: object) -> None:
        """The first message to a child is its opening message or Stop."""
        process = self.world.processes.get(to)
        if process is None or isinstance(message, m.Stop):
            return
        if isinstance(message, OPENING):
            assert process not in self.opened, f"{to} is opened twice"
            self.opened.add(process)
        else:
            assert process in self.opened, f"{to} receives {message} before its opening message"

    def infer(self, stick: str, infer: m.Infer) -> None:
        engine, now_s = self.engine, self.world.now_s
        known = engine.sticks.by_id[stick]  # type: ignore[index]
        plant_s = now_s * engine.sticks.time_scale(known)
        assert known.present, f"{stick} is not there"
        assert known.parked is None, f"{stick} is parked and gets a frame"
        assert known.restart_by_s is None, f"{stick} restarts and gets a frame"
        assert known.child.state is State.RUNNING
        assert not known.zone.is_hot, f"{stick} is hot ({known.zone.temperature_c(plant_s)}) and gets a frame"
        regulator = engine.workers.regulators[known.spec.pool]
        assert stick in regulator.active, f"{stick} rests and gets a frame"
        loaded = [str(graph.name) for graph in self.world.worker(stick).graphs] or ["none"]  # type: ignore[union-attr]
        graph = engine.dispatcher.queue_of(known.spec.id).in_flight[infer.ticket].graph  # type: ignore[union-attr]
        assert loaded[infer.graph] == engine.streams.graphs[graph], f"{stick} gets a frame for a graph that it has not loaded"
        assert infer.ticket not in self.tickets, "a ticket is used twice"
        self.tickets.add(infer.ticket)
        frame = infer.frame
        assert self.world.pixels[frame.pool, frame.slot] == (frame.camera, frame.frame), "the pixels are another frame's by now"
        limit = regulator.cluster_size
        busy = {each for each in self.busy(infer.ticket) if engine.sticks.by_id[each].spec.pool == known.spec.pool}  # type: ignore[index]
        if limit and stick not in busy:
            assert len(busy) < limit, f"{sorted(busy)} are at work and {stick} gets a frame, K is {limit}"
        queue = engine.dispatcher.queue_of(stick)  # type: ignore[arg-type]
        assert queue is not None
        assert len(queue.in_flight) <= queue.max_in_flight
        unit = queue.in_flight[infer.ticket]
        if unit.tried or any(other.tried for other in queue.in_flight.values()):
            assert len(queue.in_flight) == 1, "a suspect must travel alone"

    def busy(self, but: int) -> set[str]:
        """Sticks that have a frame in hand: as the core counts them, and as their processes do."""
        busy = {
            str(stick)
            for stick, queue in self.engine.dispatcher.queues.items()
            if any(ticket in self.tickets and ticket != but for ticket in queue.in_flight)
        }
        for process in self.world.processes.values():
            if isinstance(process, Worker) and process.connected and process.alive and process.in_hand:
                busy.add(process.endpoint.name)
        return busy

    def grant(self, grant: m.Grant) -> None:
        """Nobody who is still listened to may read a slot that is given away for writing."""
        for process in self.world.processes.values():
            if isinstance(process, Worker) and process.connected and process.alive:
                for infer in process.in_hand.values():
                    assert (infer.frame.pool, infer.frame.slot) != (grant.pool, grant.slot), (
                        f"{process.endpoint} still reads {grant}"
                    )

    # -- at every step

    def check(self) -> None:
        engine = self.engine
        tally = engine.tally
        assert (tally.lost, tally.doubled, tally.out_of_order) == (0, 0, 0)
        for name, count in tally.streams.items():
            mine = [unit for unit in tally.open if unit.stream == name]
            assert count.begun == count.result + count.dropped + count.late + count.given_up + len(mine)
        assert self.world.torn == 0, "a frame was overwritten under its reader"
        self.every_unit_is_somewhere()
        self.slots_add_up()
        self.deadlines()
        self.records()

    def every_unit_is_somewhere(self) -> None:
        """An open unit waits in a lane, is in a stick's hand or is being measured: in exactly one of these places."""
        engine = self.engine
        places = [unit for lane in engine.dispatcher.lanes.values() for unit in lane.pending]
        places += [unit for queue in engine.dispatcher.all_queues() for unit in queue.in_flight.values()]
        for camera in engine.cameras.by_name.values():
            places += [waiting[0] for waiting in camera.measuring.values()]
        for stream in engine.streams.by_name.values():
            places += [unit for order in stream.live_orders.values() for unit in order.holding]
        assert len(places) == len(set(places)), "a unit is in two places"
        assert set(places) == engine.tally.open, "a unit is nowhere, or has ended and is still somewhere"

    def slots_add_up(self) -> None:
        engine = self.engine
        leased: dict[tuple[int, int], int] = defaultdict(int)
        for unit in engine.tally.open:
            if unit.holds_pixels:
                leased[unit.frame.ref.pool, unit.frame.ref.slot] += 1
        for number, slots in engine.cameras.pools.by_number.items():
            assert slots.free + slots.granted + slots.leased == slots.layout.slots
            for slot, holders in slots._leases.items():
                assert leased[number, slot] == holders, "a slot is leased to nobody"
        assert sum(slots.leased for slots in engine.cameras.pools.by_number.values()) == len(leased)

    def deadlines(self) -> None:
        """Whatever waits, waits for a time that comes."""
        for child in self.engine.children():
            if child.state not in (State.DOWN, State.FENCED):
                assert child.deadline_s is not None, f"{child.endpoint} waits for ever in {child.state}"
            assert child.alive == (child.endpoint in self.world.processes) or self.world.exit_code is not None

    def records(self) -> list[dict[str, Any]]:
        """What a reader of the file sees: live frames rise, ordered ones come without a gap."""
        lines = [json.loads(line) for line in self.world.sink.file]
        if self.reconfigured:
            # a camera that comes back counts from 0, and one that starts again leaves out what was under way
            self.rising([((line["camera"], line["graph"]), (line["captured_at"], line["frame"])) for line in lines])
            return lines
        seen: dict[tuple[str, str], list[int]] = defaultdict(list)
        for line in lines:
            seen[line["camera"], line["graph"]].append(line["frame"])
        for (camera, graph), frames in seen.items():
            for before, after in zip([-1, *frames], frames, strict=False):
                gap_allowed = not self.engine.cameras.by_name[camera].ordered
                assert after == before + 1 or (gap_allowed and after > before), f"{camera} {graph}: {after} after {before}"
        return lines

    def rising(self, moments: list[tuple[tuple[str, str], tuple[float, int]]]) -> None:
        """Each lane's (captured_at, frame) rise, also from one configuration to the next."""
        last: dict[tuple[str, str], tuple[float, int]] = {}
        for lane, moment in moments:
            assert moment > last.get(lane, (-1.0, -1)), f"{lane}: frame {moment} after {last[lane]}"
            last[lane] = moment

    def drained(self) -> None:
        """Nothing is under way any more: nothing may be held."""
        assert not self.engine.tally.open
        for slots in self.engine.cameras.pools.by_number.values():
            assert slots.leased == 0
            assert slots.free + slots.granted == slots.layout.slots


def watched(world: World) -> tuple[World, Referee]:
    referee = Referee(world)
    return world, referee


def frames(world: World, camera: str = "cam0") -> list[int]:
    return [line["frame"] for line in map(json.loads, world.sink.file) if line["camera"] == camera]


def ordered(world: World, camera: str = "cam0", count: int | None = None) -> None:
    world.cameras[camera].ordered, world.cameras[camera].frames = True, count

"""The child processes of the supervisor, each with its channel, from spawn to exit."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from ncs_cluster.core import events as e
from ncs_cluster.core.events import Endpoint
from ncs_cluster.messages import Stop
from ncs_cluster.processes import resident
from ncs_cluster.processes.buffered_channel import MAX_QUEUED, BufferedChannel
from ncs_cluster.processes.event_log import EventLog
from ncs_cluster.processes.loop import Loop
from ncs_cluster.processes.process import Process, describe_exit
from ncs_cluster.processes.spawn import Spawner
from ncs_cluster.specs import Settings

END_S = 1.0
"""Longest wait for killed children at the end of the daemon."""


class WithRoom(Protocol):
    """Calls `make`, and frees descriptors of others while it lacks one. Raises OSError when none is left to be freed."""

    def __call__(self, make: Callable[[], Any]) -> Any: ...


class Children:
    """Spawns, sends to and kills children; what they send, their start and their exit are events."""

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        log: EventLog,
        on_event: Callable[[Endpoint, object], None],
        with_room: WithRoom,
    ) -> None:
        self._loop, self._log, self._raise, self._with_room = loop, log, on_event, with_room
        self._processes: dict[Endpoint, Process] = {}
        self._links: dict[Endpoint, BufferedChannel[object]] = {}
        self._invalid: set[Endpoint] = set()
        """Killed for what they have sent, and not reaped yet."""
        self._parting: set[Endpoint] = set()
        """Residents that were told to stop: they end the channel, not themselves."""
        self.spawner = Spawner(settings, loop, self._started, self._not_started, log.add)

    def spawn(self, endpoint: Endpoint, runtime: str) -> None:
        try:
            process = self._with_room(partial(self._made, endpoint))
        except PermissionError as error:
            self._raise(endpoint, e.SpawnFailed(str(error), permanent=True))
            return
        except OSError as error:
            self._raise(endpoint, e.SpawnFailed(f"no channel: {error.strerror}", permanent=False))
            return
        self._parting.discard(endpoint)
        self._processes[endpoint] = process
        self._links[endpoint] = BufferedChannel(
            process.channel,
            self._loop,
            partial(self._raise, endpoint),
            lambda reason: self._broken(endpoint, reason),
        )
        if process.pid is None:
            self.spawner.start(process, runtime)
        else:
            self._started(process)

    def _made(self, endpoint: Endpoint) -> Process:
        """A process that is to be started, or a resident that an earlier supervisor has started, with its process id."""
        place = self.spawner.residents.get(endpoint)
        return (resident.found(endpoint, place) if place is not None else None) or Process(endpoint)

    def send(self, to: Endpoint, message: object, memory: Callable[[], int] | None = None, *, droppable: bool = False) -> None:
        """Send to a child, if it still has a channel; `memory` gives the descriptor that goes with the message. A child that does
        not read is killed."""
        link = self._links.get(to)
        if link is None:
            return
        if isinstance(message, Stop) and to in self.spawner.residents:
            self._parting.add(to)
        try:
            fd = None if memory is None else self._with_room(memory)
            if link.send(message, fd, droppable=droppable):
                return
            why = f"its queue of {MAX_QUEUED} messages is full"
        except OSError as error:
            why = f"it cannot be given its memory: {error.strerror}"
        self._log.add("warning", str(to), f"{why}: killed")
        self.kill(to)

    def kill(self, endpoint: Endpoint) -> None:
        link, process = self._links.pop(endpoint, None), self._processes.get(endpoint)
        if link is not None:
            link.close()
        if process is not None:
            process.kill()

    def release(self, endpoint: Endpoint) -> None:
        """Leave a resident to the supervisor that has it."""
        link, process = self._links.pop(endpoint, None), self._processes.get(endpoint)
        if link is not None:
            link.close()
        if process is not None and process.pidfd >= 0:
            self._released(endpoint, process)

    def pids(self) -> set[int]:
        return {process.pid for process in self._processes.values() if process.pid is not None}

    def end(self) -> None:
        """Kill and reap all that are left; wait at most END_S."""
        self.spawner.close()
        for process in list(self._processes.values()):
            process.kill()
        deadline_s = time.monotonic() + END_S
        for process in list(self._processes.values()):
            while process.pid is not None and process.poll() is None and time.monotonic() < deadline_s:
                time.sleep(0.005)

    def _started(self, process: Process) -> None:
        """The process has started. One that was killed while it started is killed now."""
        assert process.pid is not None
        self._loop.watch(process.pidfd, lambda _ready: self._exited(process.endpoint, process))
        self._raise(process.endpoint, e.Spawned(process.pid))

    def _not_started(self, process: Process, detail: str, *, permanent: bool) -> None:
        link = self._links.pop(process.endpoint, None)
        if link is not None:
            link.close()
        del self._processes[process.endpoint]
        self._raise(process.endpoint, e.SpawnFailed(detail, permanent))

    def _broken(self, endpoint: Endpoint, reason: str) -> None:
        """The channel is closed. With a `reason`, invalid data, the process is killed; else its exit follows by itself."""
        self._links.pop(endpoint, None)
        process = self._processes.get(endpoint)
        if process is not None and not reason and endpoint in self._parting and process.pidfd >= 0:
            self._released(endpoint, process)
        elif reason and process is not None:
            self._log.add("error", str(endpoint), f"{reason}: killed")
            self._invalid.add(endpoint)
            process.kill()

    def _released(self, endpoint: Endpoint, process: Process) -> None:
        """A resident goes on without this supervisor, or ends a moment later: then it is reaped as an orphan."""
        self._loop.forget(process.pidfd)
        process.release()
        del self._processes[endpoint]
        self._raise(endpoint, e.Exited("released", 0, False))

    def _exited(self, endpoint: Endpoint, process: Process) -> None:
        link = self._links.get(endpoint)
        if link is not None:
            link.drain()
            link.close()
            self._links.pop(endpoint, None)
        self._loop.forget(process.pidfd)
        code = process.reap()
        del self._processes[endpoint]
        invalid = endpoint in self._invalid
        self._invalid.discard(endpoint)
        self._raise(endpoint, e.Exited("killed for an invalid message" if invalid else describe_exit(code), code, invalid))

"""The supervisor process: a loop that receives events, calls the engine and performs its actions. It decides nothing, never blocks.

    while not ended:  for each readable channel: event -> queue
                      for each event of the queue: engine.receive -> perform   (events it causes go to the end of the queue)
                      engine.hand_over -> perform
                      after a deadline: engine.wake -> perform

It uses no vendor library, reads no pixel, and writes to disk only when a pair of USB ports is learned, a stick is forgotten or a
job changes. Threads of their own write the log to standard error, keep the history, set the fan and read the sensor of the air.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar, assert_never

from ncs_cluster import messages as m
from ncs_cluster.control_messages import SETTINGS_REFUSED
from ncs_cluster.core import actions as a
from ncs_cluster.core import events as e
from ncs_cluster.core import guests
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, OPERATOR, Endpoint
from ncs_cluster.errors import format_os_error
from ncs_cluster.ipc import pictures, pool
from ncs_cluster.processes import child, control, runtime_dir, usage
from ncs_cluster.processes.camera_memory import CameraMemory
from ncs_cluster.processes.children import Children
from ncs_cluster.processes.climate import Climate
from ncs_cluster.processes.discovery import SimulatedBus, UsbBus
from ncs_cluster.processes.event_log import EventLog
from ncs_cluster.processes.history import Recorder
from ncs_cluster.processes.kept_jobs import KeptJobs
from ncs_cluster.processes.late_grants import LateGrants
from ncs_cluster.processes.log import NonBlockingHandler
from ncs_cluster.processes.loop import Loop
from ncs_cluster.processes.notify import Notifier
from ncs_cluster.processes.operator_signals import OperatorSignals
from ncs_cluster.processes.reloading import Reloading, Reread
from ncs_cluster.processes.requests import Requests
from ncs_cluster.provision import places
from ncs_cluster.specs import Settings
from ncs_cluster.types import CameraName, StickId

T = TypeVar("T")

SPAWNER_S = 0.25
"""Period at which fork servers are checked and orphans are reaped."""


def run(
    settings: Settings, reload: Callable[[], Settings] | None = None, *, reread: Reread | None = None, keep_jobs: bool = False
) -> int:
    """Run the daemon; returns its exit code. Raises ConfigError before any child is started.

    `reload` is called at SIGHUP and returns new settings at once; the difference to the present ones is applied. `reread`: they are
    read by a process, and clients may ask for it too; SIGHUP of a terminal that is closed stops the daemon. Without both SIGHUP
    stops a daemon that has a terminal, and is ignored by any other. `keep_jobs`: clients may give it jobs, which survive its
    restart; and its history is kept.
    """
    folder = Path(settings.runtime_dir)
    lock = runtime_dir.claim(folder)
    handler = NonBlockingHandler()
    child.log_to_stderr("ncs-clusterd", settings.log_level, handler)
    try:
        return Supervisor(settings, folder, reload, reread=reread, keep_jobs=keep_jobs).run()
    finally:
        handler.stop()
        os.close(lock)


class Supervisor:
    """The event loop, and the descriptors and processes it owns."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        reload: Callable[[], Settings] | None = None,
        *,
        reread: Reread | None = None,
        keep_jobs: bool = False,
    ) -> None:
        self._loop = Loop()
        self._reloading = None if reread is None else self._reloading_by(reread)
        # before the control socket exists, since a client that sees it may send SIGTERM
        self._signals = OperatorSignals(
            self._loop,
            partial(self._raise, OPERATOR),
            self._note,
            reload,
            self._reloading.ask if self._reloading is not None else None,
        )
        self._control = control.ControlSocket(folder, self._loop, self._request, self._client_left)
        self._engine = Engine(settings, time.monotonic())
        self._log = EventLog(self._engine.sticks.name_of)
        self._kept_jobs = KeptJobs(Path(settings.state_dir) if keep_jobs else None, self._log.add)
        records = self._kept_jobs.load()
        guests.restore(self._engine, records)
        self._engine.jobs.restore(records)
        self._bus = SimulatedBus([stick for stick in settings.sticks if stick.simulated])
        self._usb = [UsbBus(spec, Path(settings.state_dir)) for spec in settings.discoveries]
        self._events: deque[tuple[Endpoint, object]] = deque()
        """Events not yet handled by the engine."""
        self._grants = LateGrants(self._send)
        self._pools: dict[int, CameraMemory] = {}
        self._pictures: dict[CameraName, CameraMemory] = {}
        self._exit_code: int | None = None
        self._usage = usage.Usage()
        self._notifier = Notifier()
        self._next_ping_s = self._next_spawner_s = 0.0
        self._due_s = 0.0
        """When the engine is to be woken, as of the end of the last turn."""
        self._climate = Climate(settings.fan, settings.ambient)
        kept = Path(settings.state_dir) if keep_jobs and settings.history_days else None
        self._history = Recorder(kept, settings.history_days, time.monotonic())
        self._log.followers.append(self._history.event)
        self._children = Children(settings, self._loop, self._log, self._raise, self._with_room)
        self._requests = Requests(
            self._engine,
            self._children.spawner,
            self._usage,
            self._log,
            self._reply,
            lambda client, request: self._raise(Endpoint("client", client), request),
            no_jobs=self._kept_jobs.refusal,
            uid=self._control.uid,
            climate=self._climate,
            reloading=self._reloading,
        )

    def _reloading_by(self, reread: Reread) -> Reloading:
        return Reloading(
            reread,
            self._loop,
            running=lambda: self._engine.settings,
            read=lambda settings, clients: self._raise(OPERATOR, e.Configured(settings, clients)),
            refuse=lambda client, why: self._reply(client, m.Reply(error=why, code=SETTINGS_REFUSED)),
            log=self._note,
        )

    def _note(self, level: str, text: str) -> None:
        self._log.add(level, "daemon", text)

    def run(self) -> int:
        try:
            return self._run()
        finally:
            self._climate.close()
            self._history.close()

    def _run(self) -> int:
        self._perform(self._engine.start(time.monotonic()))
        self._handle_events()
        self._notifier.send("READY=1")
        while self._exit_code is None:
            self._turn()
        self._notifier.send("STOPPING=1")
        self._end()
        return self._exit_code

    def _turn(self) -> None:
        now_s = time.monotonic()
        bus_s = self._bus_deadline_s()
        due_s = min(self._due_s, bus_s)
        if (client_s := self._control.deadline_s) is not None:
            due_s = min(due_s, client_s)
        self._loop.turn(max(0.0, due_s - now_s))
        self._handle_events()
        if self._control.offered:
            self._serve_clients()
        now_s = time.monotonic()
        if client_s is not None and now_s >= client_s:
            self._control.wake(now_s)
        if now_s >= bus_s:
            for back in self._bus.wake(now_s):
                self._raise(BUS, back)
            for usb in self._usb:
                for change in usb.wake(now_s, self._engine.sticks.without_boot):
                    self._raise(BUS, change)
            self._handle_events()
        self._due_s = self._engine.deadline_s
        if now_s >= self._due_s:
            self._perform(self._engine.wake(now_s))
            self._handle_events()
            self._periodic_work(now_s)
            self._due_s = self._engine.deadline_s

    def _bus_deadline_s(self) -> float:
        """When the buses are scanned next."""
        due_s = self._bus.deadline_s
        for usb in self._usb:
            due_s = min(due_s, usb.deadline_s)
        return due_s

    def _serve_clients(self) -> None:
        """After the children, one client in each turn; its cost is counted in CPU time, what it leads to included."""
        began_s = time.thread_time()
        self._control.serve(time.monotonic())
        self._handle_events()
        self._control.charge(time.thread_time() - began_s, time.monotonic())

    def _raise(self, endpoint: Endpoint, message: object) -> None:
        """Queue an event for the engine."""
        self._events.append((endpoint, message))

    def _handle_events(self) -> None:
        """Handle all queued events, then send what the sticks and sinks can take; neither follows after Exit, so that the last log
        line is the reason for the exit."""
        while self._events:
            now_s = time.monotonic()
            while self._events:
                endpoint, message = self._events.popleft()
                before = self._engine.settings
                if self._exit_code is None:
                    self._perform(self._engine.receive(endpoint, message, now_s))
                if self._engine.settings is not before:
                    self._configured()
            if self._exit_code is None:
                self._perform(self._engine.hand_over(now_s))
        self._grants.send()

    def _configured(self) -> None:
        """The engine has new settings."""
        settings = self._engine.settings
        self._bus.configure([stick for stick in settings.sticks if stick.simulated])
        wanted = {spec.pool: spec for spec in settings.discoveries}
        for usb in self._usb:
            for renamed in usb.configure(wanted[usb.pool]):
                self._raise(BUS, renamed)
        if self._reloading is not None:
            self._reloading.applied()

    def _periodic_work(self, now_s: float) -> None:
        """Periodic work after the engine has checked every deadline; the watchdog ping confirms that check."""
        if now_s >= self._usage.next_s:
            self._usage.sample([*self._children.pids(), *self._children.spawner.pids()], now_s)
        if now_s >= self._next_spawner_s:
            # the kernel looks through all children for an exited one: dozens, for each of thousands of wakes per second
            self._next_spawner_s = now_s + SPAWNER_S
            self._children.spawner.tick(now_s, self._pids)
            if self._reloading is not None:
                self._reloading.tick(now_s)
            self._handle_events()
        self._climate.tick(self._log.add)
        self._history.tick(now_s, lambda: self._requests.status(twin=False), self._log.add)
        self._log.tick(now_s)
        if now_s >= self._next_ping_s:
            self._next_ping_s = now_s + min(1.0, self._notifier.ping_every_s or 1.0)
            if self._notifier.ping_every_s is not None:
                self._notifier.send("WATCHDOG=1")
            active = [stick for regulator in self._engine.workers.regulators.values() for stick in regulator.active]
            self._notifier.status(f"active: {', '.join(active) or 'none'}; sticks present: {self._engine.sticks.present}")

    def _pids(self) -> set[int]:
        """Process ids of all children that are reaped by their owners."""
        return self._children.pids() | (self._reloading.pids() if self._reloading is not None else set())

    # -- performing actions

    def _perform(self, actions: list[a.Action]) -> None:
        for action in actions:
            if self._grants.takes(action):
                continue
            match action:
                case a.Send():
                    self._send(action)
                case a.Spawn(endpoint=endpoint, runtime=runtime):
                    self._children.spawn(endpoint, runtime)
                case a.Release(endpoint=endpoint):
                    self._children.release(endpoint)
                case a.Kill(endpoint=endpoint):
                    self._children.kill(endpoint)
                case a.MakePool(layout=layout):
                    self._pools[layout.pool] = CameraMemory(partial(pool.create, layout))
                case a.DropPool(pool=number):
                    self._pools.pop(number).close()
                case a.MakePictures(camera=camera, slots=slots, max_width=width, max_height=height):
                    if camera in self._pictures:
                        self._pictures[camera].close()
                    self._pictures[camera] = CameraMemory(partial(pictures.create, slots, width, height))
                case a.DropPictures(camera=camera):
                    self._pictures.pop(camera).close()
                case a.Unplug(stick=stick):
                    for gone in self._bus.unplug(stick, time.monotonic()):
                        self._raise(BUS, gone)
                case a.ForgetPort(stick=stick):
                    for usb in self._usb:
                        usb.forget(stick)
                case a.ForgetCalibration(stick=stick):
                    self._forget_calibration(stick)
                case a.KeepJobs():
                    self._kept_jobs.keep(self._engine.jobs.records())
                case a.SetFan(duty=duty):
                    self._climate.set_fan(duty)
                case a.LogEvent(level=level, origin=origin, text=text, group=group):
                    self._log.add(level, origin, text, group)
                case a.Exit(code=code):
                    self._exit_code = code if self._exit_code is None else self._exit_code
                case _:
                    assert_never(action)

    def _forget_calibration(self, stick: StickId) -> None:
        try:
            places.calibration(Path(self._engine.settings.state_dir), stick).unlink(missing_ok=True)
        except OSError as error:
            self._log.add("warning", stick, f"its calibration cannot be deleted: {format_os_error(error)}")

    def _send(self, action: a.Send) -> None:
        to = action.to
        if to.kind == "client":
            self._reply(to.name, action.message)
            return
        memory = None
        if action.pool is not None:
            memory = self._pools[action.pool].descriptor
        elif action.pictures is not None:
            memory = self._pictures[action.pictures].descriptor
        self._children.send(to, action.message, memory, droppable=isinstance(action.message, m.PictureReady))

    def _reply(self, client: str, message: object) -> None:
        self._control.reply(client, message, time.monotonic())

    def _with_room(self, make: Callable[[], T]) -> T:
        """Call `make`, disconnecting clients while it lacks a file descriptor. Raises OSError when none is left to disconnect."""
        while True:
            try:
                return make()
            except OSError as error:
                if error.errno not in control.NO_DESCRIPTOR or not self._control.shed():
                    raise

    def _request(self, client: str, request: m.Request) -> None:
        self._requests.handle(client, request)

    def _client_left(self, client: str) -> None:
        self._requests.left(client)

    def _end(self) -> None:
        if self._reloading is not None:
            self._reloading.close()
        self._children.end()
        self._control.close()

"""All cameras: adding, changing and removing them while the daemon runs, their viewers, and their deadlines."""

from __future__ import annotations

from collections.abc import Callable, Container

from ncs_cluster.core.actions import Action, LogEvent, Send
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.daemon import Daemon
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import GATEWAY, Endpoint
from ncs_cluster.core.frame_pools import FramePools
from ncs_cluster.core.gateway import Gateway
from ncs_cluster.core.stream import Stream
from ncs_cluster.core.streams import Streams
from ncs_cluster.messages import CameraGone, PictureReady
from ncs_cluster.specs import CameraSpec

LIVE_FIELDS = {"weight", "shown", "written"}
"""Fields of a CameraSpec that its process does not use: a change is applied to the stream, without a restart."""

SOURCE_FIELDS = {"source", "options"}
"""Fields of a CameraSpec that make it another source, which begins at its start."""


class Cameras:
    """The cameras by name, in the order in which they were added."""

    def __init__(
        self,
        streams: Streams,
        dispatcher: Dispatcher,
        workers: Callable[[], list[Endpoint]],
        daemon: Daemon,
        limits: Limits,
    ) -> None:
        """`workers`: endpoints of the running workers; each maps every frame pool."""
        self.by_name: dict[str, Camera] = {}
        self.streams = streams
        self.pools = FramePools(len(streams.graphs), dispatcher)
        self.workers = workers
        self.daemon = daemon
        self.limits = limits
        self.gateway: Gateway | None = None
        """None before the gateway is created, or with --no-web."""

    @property
    def stopping(self) -> bool:
        return self.daemon.stopping

    # -- configured

    def add(self, spec: CameraSpec, now_s: float, *, added: bool = False) -> list[Action]:
        """`added`: to a daemon that runs, which goes on where the source can never be opened."""
        camera = self.by_name[spec.name] = Camera(spec, self)
        camera.added = added
        return camera.child.start(now_s)

    def configure(self, specs: list[CameraSpec], now_s: float, *, others: Container[str] = ()) -> list[Action]:
        """Add, remove and change cameras to match `specs`; unchanged cameras go on undisturbed, and so do `others`."""
        actions: list[Action] = []
        wanted = {spec.name: spec for spec in specs}
        for camera in [each for each in self.by_name.values() if each.spec.name not in others]:
            spec = wanted.get(camera.spec.name)
            if spec is None and not camera.removed:
                actions += [LogEvent("info", camera.spec.name, "is removed"), *self.remove(camera.spec.name, now_s)]
            elif spec is not None and (camera.removed or spec != camera.spec):
                actions += self._change(camera, spec, now_s)
        for name, spec in wanted.items():
            if name not in self.by_name:
                actions += [LogEvent("info", name, "is added"), *self.add(spec, now_s, added=True)]
        return actions

    def remove(self, name: str, now_s: float) -> list[Action]:
        """Close its stream and stop its process; it is deleted once that has exited."""
        camera = self.by_name[name]
        camera.removed = True
        self.close_stream(camera, now_s)
        gone = [Send(GATEWAY, CameraGone(camera.spec.name))] if self.gateway and self.gateway.child.running else []
        return [*camera.child.stop(now_s), *gone]

    def _change(self, camera: Camera, spec: CameraSpec, now_s: float) -> list[Action]:
        changed = {name for name in spec.__struct_fields__ if getattr(spec, name) != getattr(camera.spec, name)}
        back, camera.removed = camera.removed, False
        camera.spec = spec
        if not back and changed <= LIVE_FIELDS:
            if camera.stream is not None:
                self.streams.set_weight(camera.stream.name, spec.weight)
            return [LogEvent("info", spec.name, f"has new settings: {', '.join(sorted(changed))}")]
        if back or changed & SOURCE_FIELDS:
            camera.starts_over = True
        # another source or another picture mode: the process restarts, and the frame numbers continue
        self.close_stream(camera, now_s)
        camera.added, camera.ended, camera.child.runtime = True, False, spec.runtime
        return [LogEvent("info", spec.name, "has new settings: restarting"), *camera.child.restart(now_s)]

    def change_graphs(self, now_s: float) -> None:
        """The graphs of the settings have changed: the next frames of each camera run through those that it names, or all."""
        self.pools.graphs = len(self.streams.indices([]))
        for camera in self.by_name.values():
            if camera.stream is not None:
                self.streams.change_graphs(camera.stream, self.streams.indices(camera.spec.graphs), now_s)

    def open_stream(self, camera: Camera) -> Stream:
        graphs = self.streams.indices(camera.spec.graphs)
        names = self.streams.graphs
        written = {graph: camera.spec.written[names[graph]] for graph in graphs if names[graph] in camera.spec.written}
        stream = Stream(
            camera.spec.name,
            camera,
            graphs=graphs,
            weight=camera.spec.weight,
            ordered=camera.ordered,
            written=written,
            resumable=camera.spec.resumable,
            sinks=camera.spec.sinks,
        )
        self.streams.open(stream)
        return stream

    def close_stream(self, camera: Camera, now_s: float) -> None:
        if camera.stream is not None:
            self.streams.close(camera.stream.name, now_s)
            for unit, outcome in camera.abandon(now_s):
                self.streams.publish(unit, outcome, now_s)
            camera.stream = None

    # -- pictures for the gateway

    def drawn(self, camera: Camera, frame: int) -> list[Action]:
        """A new picture is in the camera's ring."""
        if self.gateway is not None and self.gateway.child.running and camera.viewers:
            return [Send(GATEWAY, PictureReady(camera.spec.name, frame))]
        return []

    def reopened(self, camera: Camera) -> list[Action]:
        """The camera's source was opened again: its ring may be a new one."""
        if self.gateway is not None and self.gateway.child.running:
            return [self.pools.pictures(camera, GATEWAY)]
        return []

    def set_viewers(self, name: str | None, viewers: int, now_s: float, streamed: bool = True) -> list[Action]:
        """The camera has `viewers` viewers now; `name` None: every camera has. `streamed`: one of them looks at every picture."""
        if name is None:
            for camera in self.by_name.values():
                camera.viewers, camera.streamed = viewers, streamed
            return []
        if (watched := self.by_name.get(name)) is None:
            return []
        watched.viewers, watched.streamed = viewers, streamed or not viewers
        return watched.send_detection_rate(now_s)

    def rings(self) -> list[Action]:
        """The picture ring of every camera, for a gateway that has just opened."""
        return [self.pools.pictures(camera, GATEWAY) for camera in self.by_name.values() if camera.slots and not camera.removed]

    # -- time

    def overdue(self, now_s: float) -> list[Action]:
        """Kill a camera process that captures but has not answered Measure for limits.silent_s."""
        late_s = now_s - self.limits.silent_s
        actions: list[Action] = []
        for camera in self.by_name.values():
            if camera.measuring and camera.measuring_since_s < late_s:
                actions += camera.child.kill(now_s, f"no answer for {self.limits.silent_s:.0f} s: camera hangs")
        return actions

    def extend_deadlines(self, now_s: float) -> None:
        """After a stall of the event loop: restart the waiting time of all measurements."""
        for camera in self.by_name.values():
            camera.measuring_since_s = now_s

    def tick(self, now_s: float) -> list[Action]:
        """Drop retired pools that no process uses, replace pools too small for the present sticks, grant slots."""
        actions: list[Action] = []
        workers = self.workers()
        for name, camera in list(self.by_name.items()):
            if camera.child.state is State.FENCED:
                # its grants are kept: a process that cannot be killed may still write
                camera.publish_unmeasured(now_s)
            actions += self.pools.drop_idle(camera, workers)
            if self.pools.too_small(camera):
                actions += self.pools.make(camera, workers)
            actions += camera.grant()
            if camera.removed and not camera.child.alive:
                actions += self.pools.retire(camera)
                if not camera.retired:
                    del self.by_name[name]
        return actions

    def send_detection_rate(self, now_s: float) -> list[Action]:
        return [action for camera in self.by_name.values() for action in camera.send_detection_rate(now_s)]

    def finished(self, apart: Container[str] = ()) -> bool:
        """Every source has ended, those of `apart` and those that can never be opened aside."""
        cameras = [camera for name, camera in self.by_name.items() if name not in apart]
        return any(camera.ended for camera in cameras) and all(camera.ended or camera.refused for camera in cameras)

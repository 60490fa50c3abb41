"""The gateway: one process that shows the page. It may die or hang without touching the rest."""

from __future__ import annotations

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, LogEvent, Send
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.child import Child, Limits
from ncs_cluster.core.events import GATEWAY
from ncs_cluster.specs import GatewaySpec, Settings


class Gateway:
    """The page's process, and who looks at which camera."""

    def __init__(self, spec: GatewaySpec, settings: Settings, cameras: Cameras, limits: Limits) -> None:
        self.child = Child(GATEWAY, "default", limits)
        self.address: tuple[str, int] | None = None
        """Where the page answers; stays known while the process is away for a moment."""
        self._opening = m.OpenGateway(spec, settings.runtime_dir, settings.simulated)
        self._cameras = cameras

    def handle(self, message: object, now_s: float) -> list[Action]:
        """What the gateway says, beyond what every child may say."""
        match message:
            case m.Hello():
                self.child.hello(now_s)
                return [Send(GATEWAY, self._opening)]
            case m.GatewayOpened(host=host, port=port):
                self.child.ready(now_s)
                self.address = (host, port)
                cameras = self._cameras.by_name.values()
                rings = [self._cameras.pools.pictures(camera, GATEWAY) for camera in cameras if camera.slots]
                where = (
                    f"answers on all addresses of this machine, port {port}"
                    if host in ("0.0.0.0", "::")
                    else f"is at http://{host}:{port}/"
                )
                return [LogEvent("info", "page", where), *rings]
            case m.Watch(camera=name, viewers=viewers):
                camera = self._cameras.by_name.get(name)
                if camera is None:
                    return []
                camera.viewers = viewers
                return self._cameras.tell_rates(camera, now_s)
            case e.Exited(how=how):
                for camera in self._cameras.by_name.values():
                    camera.viewers = 0
                return self.child.exited(how, now_s)
            case _:
                return []

    def drawn(self, camera: Camera, frame: int) -> list[Action]:
        """A new picture lies in a camera's ring."""
        if self.child.running and camera.viewers:
            return [Send(GATEWAY, m.PictureReady(camera.spec.name, frame))]
        return []

    def reopened(self, camera: Camera) -> list[Action]:
        """The camera draws into another ring now."""
        return [self._cameras.pools.pictures(camera, GATEWAY)] if self.child.running else []

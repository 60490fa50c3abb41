"""The gateway: the process that serves the page and the HTTP interface. Its failures do not affect other processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Union, assert_never

from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, LogEvent, Send
from ncs_cluster.core.child import Child, Limits
from ncs_cluster.core.child_messages import accepts, check_protocol, handle_common
from ncs_cluster.core.daemon import Daemon
from ncs_cluster.core.events import GATEWAY
from ncs_cluster.core.intake import Intake
from ncs_cluster.specs import GatewaySpec, Settings
from ncs_cluster.types import IntakeClient

SILENT_S = 3.0
"""Its longest time without a heartbeat: a page that hangs loses nothing when it is killed."""

GatewayMessage = Union[m.FromGateway, e.ProcessEvent]


class Gateway:
    """The gateway process."""

    def __init__(
        self,
        spec: GatewaySpec,
        settings: Settings,
        daemon: Daemon,
        limits: Limits,
        *,
        rings: Callable[[], list[Action]],
        set_viewers: Callable[[str | None, int, float, bool], list[Action]],
        intake: Intake,
    ) -> None:
        """`rings()`: the actions that map every camera's picture ring in the gateway. `set_viewers(camera, viewers, now_s,
        streamed)`: sets the viewers of a camera; `camera` None: of every camera."""
        self.child = Child(GATEWAY, "default", structs.replace(limits, silent_s=min(limits.silent_s, SILENT_S)))
        self.address: tuple[str, int] | None = None
        """Host and port of the page; kept while the process restarts."""
        self.clients: list[IntakeClient] = []
        """Of the APIs."""
        self.spec = spec
        self._settings = settings
        self._daemon = daemon
        self._rings = rings
        self._set_viewers = set_viewers
        self._intake = intake

    def handle(self, message: GatewayMessage, now_s: float) -> list[Action]:
        child = self.child
        if not accepts(child, message):
            return []
        child.message_received(now_s)
        match message:
            case m.Hello():
                if refused := check_protocol(child, message, now_s):
                    return refused
                child.hello(now_s)
                settings = self._settings
                history = settings.state_dir if settings.history_days else None
                return [Send(GATEWAY, m.OpenGateway(self.spec, settings.runtime_dir, settings.simulated, history))]
            case m.GatewayOpened(host=host, port=port, api=api, grpc=grpc):
                child.ready(now_s)
                self.address = (host, port)
                told: list[Action] = [LogEvent("info", "page", _where(host, port))]
                if api is not None:
                    told.append(LogEvent("info", "page", f"for APIs alone: {_where(*api)}"))
                if grpc is not None:
                    told.append(LogEvent("info", "page", f"gRPC for Open Inference: {_where(*grpc, scheme='grpc')}"))
                return [*told, *self._rings()]
            case m.Watch(camera=name, viewers=viewers, streamed=streamed):
                return self._set_viewers(name, viewers, now_s, streamed)
            case m.TokenReplaced(token=token, viewer=viewer):
                self.spec = structs.replace(self.spec, **{"viewer_token" if viewer else "token": token})
                text = "new token for pictures" if viewer else "new token: sessions of the old one have ended"
                return [LogEvent("info", "page", text)]
            case m.Warned(text=text):
                return [LogEvent("warning", "page", text)]
            case m.Failed(permanent=True, detail=detail) if self.address is None and not self._daemon.stopping:
                return self._daemon.refuse("gateway", detail)
            case m.OpenIntake() | m.Ask() | m.Withdraw():
                return self._intake.handle(message, now_s)
            case m.ClientsSeen(clients=clients):
                self.clients = clients
                return []
            case e.Exited(how=how):
                self._intake.lost()
                self.clients = []
                self._set_viewers(None, 0, now_s, True)
                return child.exited(how, now_s)
            case m.Heartbeat() | m.Failed() | e.Spawned() | e.SpawnFailed():
                return handle_common(child, message, now_s)
            case _:
                assert_never(message)

    def configure(self, spec: GatewaySpec, settings: Settings, now_s: float) -> list[Action]:
        """A changed address, token or allowed host restarts the process."""
        changed = structs.replace(spec, api_weight=self.spec.api_weight) != self.spec
        self.spec, self._settings = spec, settings
        if not changed:
            return []
        return [LogEvent("info", "page", "has new settings: restarting"), *self.child.restart(now_s)]


def _where(host: str, port: int, scheme: str = "http") -> str:
    if host in ("0.0.0.0", "::"):
        return f"listens on all addresses, port {port}"
    return f"serves {scheme}://{host}:{port}{'/' if scheme == 'http' else ''}"

"""supervisor <-> gateway. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Annotated, Optional, Tuple, Union

from msgspec import Meta

from ncs_cluster.messages.camera import Grant
from ncs_cluster.messages.child import Failed, Heartbeat, Hello, Message, Stop, Warned
from ncs_cluster.messages.intake import Answered, Ask, ClientsSeen, OpenIntake, Served, Withdraw
from ncs_cluster.messages.memory import MapPictures, MapPool, UnmapPool
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.types import CameraName

Token = Annotated[str, Meta(min_length=16, max_length=4096)]


class OpenGateway(Message, frozen=True):
    """The first message to the gateway. It requests status and events over the control socket, as any client."""

    gateway: GatewaySpec
    runtime_dir: str
    simulated: bool
    history: Optional[str] = None
    """Folder of the daemon's history; None: it keeps none."""


class PictureReady(Message, frozen=True):
    """A new picture is in the camera's ring."""

    camera: CameraName
    frame: int


class CameraGone(Message, frozen=True):
    """The camera is no longer configured."""

    camera: CameraName


class GatewayOpened(Message, frozen=True):
    """The page is served at this address."""

    host: str
    port: int
    api: Optional[Tuple[str, int]] = None
    """Host and port where APIs alone are served."""
    grpc: Optional[Tuple[str, int]] = None
    """Host and port of gRPC."""


class Watch(Message, frozen=True):
    """The viewers of a camera have changed. `streamed`: one of them looks at every picture; else they ask for single ones."""

    camera: CameraName
    viewers: int
    streamed: bool = True


class TokenReplaced(Message, frozen=True):
    """The file of a token holds another one, which counts from now on. `viewer`: the token for pictures alone."""

    token: Token
    viewer: bool

    def __repr__(self) -> str:
        """The token is not for logs."""
        return f"TokenReplaced(***, {self.viewer})"


ToGateway = Union[OpenGateway, MapPictures, PictureReady, CameraGone, MapPool, UnmapPool, Served, Grant, Answered, Stop]
FromGateway = Union[Hello, Heartbeat, GatewayOpened, Watch, TokenReplaced, Warned, OpenIntake, Ask, Withdraw, ClientsSeen, Failed]

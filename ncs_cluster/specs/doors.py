"""Where other programs reach the daemon. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from msgspec import Struct


def is_local(host: str) -> bool:
    """True when only programs of this machine reach the address."""
    # imported here: children without a page do not pay for the module
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class GatewaySpec(Struct, frozen=True):
    """Where the web page is served, and to whom."""

    host: str
    port: int
    token: Optional[str] = None
    allowed_hosts: List[str] = []
    token_file: Optional[str] = None
    """Absolute path of the file that `token` was read from; the gateway reads it again when it changes."""
    viewer_token: Optional[str] = None
    """The token that opens the pictures of cameras and nothing else."""
    viewer_token_file: Optional[str] = None
    apis: List[str] = []
    """APIs of other inference servers that are answered too: "deepstack", "oip"."""
    grpc_address: Optional[Tuple[str, int]] = None
    """Host and port where the Open Inference Protocol is answered over gRPC."""
    api_address: Optional[Tuple[str, int]] = None
    """Host and port where they are answered too, without the page."""
    api_clients: List[str] = []
    """Addresses and networks that need no token at `api_address` and `grpc_address`."""
    api_weight: float = 1.0
    """The share of the sticks that pictures of those APIs get, beside the cameras' weights."""
    fleet: Dict[str, Any] = {}
    """Options of the sink that tells the fleet of this daemon, for the page of all hosts; empty: there is none. May hold a
    password."""

    @property
    def local(self) -> bool:
        """True when only programs of this machine reach the address."""
        return is_local(self.host)

    @property
    def api_local(self) -> bool:
        """The same of `api_address`."""
        return self.api_address is None or is_local(self.api_address[0])

    @property
    def grpc_local(self) -> bool:
        """The same of `grpc_address`."""
        return self.grpc_address is None or is_local(self.grpc_address[0])

    @property
    def takes_pictures(self) -> bool:
        """Whether other programs may send pictures."""
        return bool(self.apis) or self.grpc_address is not None

    def __repr__(self) -> str:
        """The token is not for logs."""
        return f"GatewaySpec({self.host!r}, {self.port}, token={'***' if self.token else None})"


class IntakeSpec(Struct, frozen=True):
    """A process that takes pictures of other programs by their protocol."""

    name: str
    """The protocol: "frigate"."""
    options: Dict[str, Any]
    shown: str
    """Where it listens, for people."""
    weight: float = 1.0
    """Its share of the sticks, beside the cameras' weights."""


class FrigateSpec(Struct, frozen=True):
    """Options of the intake "frigate": where Frigate's `zmq` detector is served, and how its frames are read and answered."""

    endpoint: str
    """Of ZeroMQ: "tcp://ADDRESS:PORT" or "ipc://PATH"."""
    deadline_ms: int = 180
    """After so long a frame is answered with zeros: Frigate waits 200 ms, and then connects anew."""
    colours: str = "RGB"
    """Channel order of Frigate's tensors, its `input_pixel_format`: "RGB" or "BGR"."""
    graph: Optional[str] = None
    """For clients whose `model.path` names none."""
    labelmap: Optional[Dict[int, str]] = None
    """Names by id as Frigate has them; None: its own labelmap, COCO."""
    socket: str = ""
    """Absolute path at which the process waits for a supervisor."""
    keep_s: float = 60.0
    """How long it answers without a supervisor after the daemon has stopped."""


class OverflowIntakeSpec(Struct, frozen=True):
    """Options of the intake "overflow": frames of other hosts of the fleet."""

    url: str
    node: str
    """Of this host."""
    user: Optional[str] = None
    password_file: Optional[str] = None
    """This one and those below: absolute paths."""
    ca_file: Optional[str] = None
    nkey_file: Optional[str] = None
    credentials_file: Optional[str] = None

"""What the core wants done, in order. The supervisor performs them without thinking."""

from __future__ import annotations

from typing import Any, Union

from msgspec import Struct

from ncs_cluster.core.events import Endpoint
from ncs_cluster.types import CameraName, PoolLayout, StickId


class Send(Struct, frozen=True):
    """Put a message on a channel. `pool` or `pictures` names shared memory whose descriptor goes with it."""

    to: Endpoint
    message: Any
    pool: int | None = None
    pictures: CameraName | None = None


class Spawn(Struct, frozen=True):
    """Start this child."""

    endpoint: Endpoint
    runtime: str


class Kill(Struct, frozen=True):
    """Close the channel, so that no late word is heard, and send SIGKILL."""

    endpoint: Endpoint


class MakePool(Struct, frozen=True):
    """Create the shared memory of a frame pool."""

    layout: PoolLayout


class DropPool(Struct, frozen=True):
    """Nobody needs this pool any more."""

    pool: int


class MakePictures(Struct, frozen=True):
    """Create a camera's picture ring, in place of an older one."""

    camera: CameraName
    slots: int
    max_width: int
    max_height: int


class Unplug(Struct, frozen=True):
    """Simulated sticks: pull it out, and plug it in again after a while."""

    stick: StickId


class LogEvent(Struct, frozen=True):
    """One line for the log and for `ncsctl events`. Edges, not levels: said once when something changes."""

    level: str
    """ "info", "warning" or "error"."""
    origin: str
    """What it is about: a stick, a camera, "sink", "clusters", "daemon"."""
    text: str


class Exit(Struct, frozen=True):
    """Everything is down; end with this code."""

    code: int


Action = Union[Send, Spawn, Kill, MakePool, DropPool, MakePictures, Unplug, LogEvent, Exit]

"""The actions of the core. The supervisor performs them in the order of their list, grants last, and decides nothing itself."""

from __future__ import annotations

from typing import Any, Union

from msgspec import Struct

from ncs_cluster.core.events import Endpoint
from ncs_cluster.types import CameraName, PoolLayout, StickId


class Send(Struct, frozen=True):
    """Send a message to an endpoint. `pool` or `pictures`: the shared memory whose descriptor is sent with it."""

    to: Endpoint
    message: Any
    pool: int | None = None
    pictures: CameraName | None = None


class Spawn(Struct, frozen=True):
    """Start the child process of an endpoint in a runtime (an interpreter named in the settings)."""

    endpoint: Endpoint
    runtime: str


class Kill(Struct, frozen=True):
    """Close the channel, so that later messages are not received, and send SIGKILL."""

    endpoint: Endpoint


class Release(Struct, frozen=True):
    """Close the channel, and leave the process to the supervisor whose it is. Its Exited follows."""

    endpoint: Endpoint


class MakePool(Struct, frozen=True):
    """Create the shared memory of a frame pool."""

    layout: PoolLayout


class DropPool(Struct, frozen=True):
    """Release the shared memory of a frame pool."""

    pool: int


class MakePictures(Struct, frozen=True):
    """Create a camera's picture ring; it replaces an older ring of that camera."""

    camera: CameraName
    slots: int
    max_width: int
    max_height: int


class DropPictures(Struct, frozen=True):
    """The camera is gone for good, and its picture ring with it."""

    camera: CameraName


class Unplug(Struct, frozen=True):
    """Unplug a simulated stick; it is plugged in again after discovery.UNPLUGGED_S."""

    stick: StickId


class ForgetPort(Struct, frozen=True):
    """The learned port of the stick's return is doubtful: it is learned again, in an exclusive boot."""

    stick: StickId


class ForgetCalibration(Struct, frozen=True):
    """Delete what `ncsctl calibrate` has found of this stick; the daemon's policies know it until they are made anew."""

    stick: StickId


class KeepJobs(Struct, frozen=True):
    """Write down the jobs, so that the next daemon goes on with them: see Jobs.records."""


class SetFan(Struct, frozen=True):
    """The fan's speed, told every second: 0 is off, 1 is full speed."""

    duty: float


class LogEvent(Struct, frozen=True):
    """One line of the log and of `ncsctl events`. An event reports a change once, not a state repeatedly."""

    level: str
    """ "info", "warning" or "error"; "debug": a line of the log alone."""
    origin: str
    """The part of the daemon it concerns: a stick, a camera, a child's endpoint, "page", "clusters", "usb", "fan", "ambient",
    "fault" or "daemon"."""
    text: str
    group: str | None = None
    """Plural under which such events are grouped, as in "12 switches by heat in 30 s". None: events of one origin whose texts
    differ only in their numbers form a group; empty: the event is never grouped."""


class Exit(Struct, frozen=True):
    """End the daemon with this exit code."""

    code: int


Action = Union[
    Send,
    Spawn,
    Kill,
    Release,
    MakePool,
    DropPool,
    MakePictures,
    DropPictures,
    Unplug,
    ForgetPort,
    ForgetCalibration,
    KeepJobs,
    SetFan,
    LogEvent,
    Exit,
]

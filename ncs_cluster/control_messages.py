"""The messages of the control socket: what a client asks the supervisor, and what it answers.

A module of its own because clients such as `ncsctl` need no other message. Encoded as the messages of `messages.py`; the body of
a `Reply` is a map, so a client reads the answers of newer and older daemons.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple, Union

from msgspec import Raw, Struct

from ncs_cluster.types import StickId


class ControlMessage(Struct, frozen=True, array_like=True, tag=True):
    """Base of these messages. Fields are added at the end, with a default."""


class AskStatus(ControlMessage, frozen=True):
    """-> status.Status"""


class AskEvents(ControlMessage, frozen=True):
    """-> list[status.Event] newer than id `after`: as many as one reply holds, the newest. With `follow` one more reply, of the
    same type, for each later event. `before`: only events with an id below it, so that a client can ask for older ones."""

    after: int = 0
    follow: bool = False
    before: Optional[int] = None


class AskSwitch(ControlMessage, frozen=True):
    """Switch to the next cluster now. -> Done. Refused when there is no cluster to switch to."""


class AskFault(ControlMessage, frozen=True):
    """Simulated sticks only: "heat" (all of them), "unplug", "hang" (`stick`, or else an active one). -> Done"""

    kind: str
    stick: Optional[StickId] = None


class AskUrl(ControlMessage, frozen=True):
    """-> PageUrl. Refused with NO_PAGE or PAGE_NOT_READY."""


class AskGraphs(ControlMessage, frozen=True):
    """-> list[specs.GraphSpec], the daemon's"""


class BeginJob(ControlMessage, frozen=True):
    """Run a job beside the cameras. `job`: a specs.JobSpec in msgpack. -> JobBegun. For programs of the daemon's own user alone: a
    job reads and writes files with the daemon's rights."""

    job: Raw


class ChangeJob(ControlMessage, frozen=True):
    """`verb`: "pause", "resume" or "cancel". -> Done"""

    id: str
    verb: str


class ChangeStick(ControlMessage, frozen=True):
    """`id`: a stick's id, or the operator's name of its port. `verb`: "park" (`why`: for people; earlier "rest"), "work",
    "restart", or "forget", of an absent stick (with its `calibration`, or without). -> Done. For the daemon's own user and root
    alone."""

    id: str
    verb: str
    why: Optional[str] = None
    calibration: bool = False


class AskReload(ControlMessage, frozen=True):
    """Read the file, the environment and the flags again, and apply the difference. -> Reloaded. Refused with SETTINGS_REFUSED. For
    root and programs of the daemon's own user alone."""


class ChangeGuests(ControlMessage, frozen=True):
    """Load these graphs of other machines beside those of the settings, for jobs that name them, and no others any more. Each is
    its name and the absolute path of its folder: see fleet.graph_files. -> Reloaded. Refused with SETTINGS_REFUSED where one does
    not load; and to others than programs of the daemon's own user."""

    guests: List[Tuple[str, str]]


class AskSettings(ControlMessage, frozen=True):
    """-> list[Setting], of the settings that are in effect"""


Request = Union[
    AskStatus,
    AskEvents,
    AskSwitch,
    AskFault,
    AskUrl,
    AskGraphs,
    BeginJob,
    ChangeJob,
    ChangeStick,
    AskReload,
    ChangeGuests,
    AskSettings,
]

NO_PAGE = "no-page"
"""The daemon runs without a page."""
PAGE_NOT_READY = "page-not-ready"
"""The page's process has not opened its port yet; ask again."""
SETTINGS_REFUSED = "settings-refused"
"""The new settings are not applied; the text says why. The old ones stay in effect."""


class Reply(ControlMessage, frozen=True):
    """`body` is the answer in msgpack. `error` is one line for people when the request was refused."""

    error: Optional[str] = None
    body: Raw = Raw(b"\xc0")
    code: Optional[str] = None
    """Why the request was refused, for programs: one of the constants above. None where only the text says it."""


class Done(Struct, frozen=True):
    """What the daemon did, one line."""

    text: str


class JobBegun(Struct, frozen=True):
    """The job is in the list of jobs."""

    id: str


class Reloaded(Struct, frozen=True):
    """The new settings are in effect."""

    changes: List[str]
    """What is different now, for people: "camera door added"; empty where nothing is."""
    notices: List[str] = []
    """What the operator should know besides: "--fps has no effect ..."."""


class Setting(Struct, frozen=True):
    """A key, what it is set to, and by what."""

    key: str
    """Dotted: "simulated.latency_ms"."""
    value: Any
    """As in JSON; passwords are replaced."""
    origin: str
    """ "default", "FILE:LINE", "NCS_CLUSTER_THRESHOLD", "--threshold", "--set a.b"."""


class PageUrl(Struct, frozen=True):
    """The page's address. It contains the token, where one is set."""

    url: str

"""What a daemon tells the others of itself, as JSON: made of its status, and read with bounds. Pure. Runs on CPython 3.9.

Fields may be added, never renamed; a change of meaning is another PROTOCOL.
"""

from __future__ import annotations

from typing import Annotated, Dict, List, Optional, TypeVar, Union

import msgspec
from msgspec import Meta, Struct

from ncs_cluster.status import Status

PROTOCOL = 1
LARGEST = 64 * 1024
"""Bytes of an entry."""
LONGEST_NAME, LONGEST_TEXT = 64, 200
"""Characters."""
MOST = {"sticks": 128, "cameras": 64, "jobs": 32, "reasons": 8}
ABSENT, USABLE = "absent", frozenset({"active", "standby", "draining", "resting"})
"""States of sticks."""

Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Figure = Annotated[float, Meta(ge=-1e9, le=1e9)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
T = TypeVar("T")


class Stick(Struct, frozen=True):
    id: Name
    name: Optional[Name]
    state: Name
    temperature_c: Optional[Figure]
    fps: Figure


class Camera(Struct, frozen=True):
    name: Name
    state: Name
    fps: Figure
    """Frames a second with results."""


class Job(Struct, frozen=True):
    id: Name
    state: Name
    done: Count
    expected: Count
    fps: Figure


class Entry(Struct, frozen=True):
    protocol: Count
    version: Name
    node: Name
    state: Name
    """Of the daemon: "ok", "degraded" or "down"."""
    ready: bool
    reasons: Annotated[List[Text], Meta(max_length=MOST["reasons"])]
    sticks: Annotated[List[Stick], Meta(max_length=MOST["sticks"])]
    """The first of them; the counts below are of all."""
    sticks_present: Count
    sticks_usable: Count
    hottest_c: Optional[Figure]
    fps: Figure
    """Inferences a second of all sticks together."""
    asked_fps: Optional[Figure]
    """By the live cameras; None: not known."""
    capacity_fps: Optional[Figure]
    """That the sticks sustain; None: not known."""
    headroom_fps: Optional[Figure]
    """Capacity less what is asked for; below 0: overloaded."""
    cameras: Annotated[List[Camera], Meta(max_length=MOST["cameras"])]
    jobs: Annotated[List[Job], Meta(max_length=MOST["jobs"])]
    """Those that have not ended."""
    page: Optional[Text]
    """Address of the page; None: not known."""
    drained: Optional[bool] = None
    """It takes no work of the fleet, and has none in hand; None: it does not know, as one of an older version."""
    draining: Optional[bool] = None
    """It takes no work of the fleet, and has such work in hand still; None: it does not know."""
    chunks: Count = 0
    """Of jobs over hosts, in hand."""
    frames: Count = 0
    """Of other hosts, in hand."""


class Other(Struct, frozen=True):
    """An entry that this version cannot read."""

    protocol: Optional[Count] = None
    """None: it is no entry at all."""
    version: Optional[Name] = None
    node: Name = ""


def entry_of(status: Status, node: str, page: Optional[str]) -> Entry:
    """Texts are cut and rid of control characters, lists are cut; none holds an address of a camera or a path of a job."""
    load, fleet = status.load, status.fleet
    # what stands for neighbours is counted where it is
    spare = {pool.name for pool in status.pools if pool.overflow}
    sticks = [each for each in status.sticks if each.pool not in spare]
    drain = None if fleet is None else fleet.drain
    asked, capacity = (None, None) if load is None else (load.asked_fps, load.capacity_fps)
    temperatures = [each.temperature_c for each in sticks if each.temperature_c is not None and each.state != ABSENT]
    return Entry(
        PROTOCOL,
        name(status.daemon.version),
        node,
        name(status.daemon.state),
        status.daemon.ready,
        [_text(each, LONGEST_TEXT) for each in status.daemon.reasons[: MOST["reasons"]]],
        [
            Stick(
                name(each.id),
                None if each.name is None else name(each.name),
                name(each.state),
                each.temperature_c,
                round(each.fps, 1),
            )
            for each in sticks[: MOST["sticks"]]
        ],
        sum(each.state != ABSENT for each in sticks),
        sum(each.state in USABLE for each in sticks),
        max(temperatures, default=None),
        round(sum(each.fps for each in sticks), 1),
        _rounded(asked),
        _rounded(capacity),
        None if asked is None or capacity is None else round(capacity - asked, 1),
        [Camera(name(each.name), name(each.state), round(each.detection_fps, 1)) for each in status.cameras[: MOST["cameras"]]],
        _jobs(status)[: MOST["jobs"]],
        None if page is None else _text(page, LONGEST_TEXT),
        None if drain is None else drain == "drained",
        None if drain is None else drain == "draining",
        0 if fleet is None else fleet.chunks,
        0 if fleet is None else fleet.frames,
    )


def _jobs(status: Status) -> List[Job]:
    """Jobs of this host, then jobs over hosts, whose chunks are not told one by one."""
    own = [job for job in status.jobs if job.state in ("running", "paused") and job.chunk_of is None]
    over = [] if status.fleet is None else [job for job in status.fleet.jobs if job.running]
    left = {job.id: sum(each.expected - each.done for each in status.jobs if each.chunk_of == job.id) for job in over}
    return [
        *(Job(name(each.id), name(each.state), each.done, each.expected, round(each.fps, 1)) for each in own),
        *(Job(name(each.name), each.state, each.done, each.done + max(0, left[each.id]), round(each.fps, 1)) for each in over),
    ]


def states(entry: Entry) -> object:
    """What changes only when something happens: a new one is told of at once. Figures and texts are not part of it."""
    return (
        entry.state,
        entry.ready,
        entry.drained,
        entry.draining,
        [(each.id, each.state) for each in entry.sticks],
        [(each.name, each.state) for each in entry.cameras],
        [(each.id, each.state) for each in entry.jobs],
    )


def encoded(entry: Entry) -> bytes:
    """JSON of at most LARGEST bytes: the lists are halved until it fits."""
    while len(payload := msgspec.json.encode(entry)) > LARGEST:
        cut: Dict[str, object] = {field: getattr(entry, field)[: len(getattr(entry, field)) // 2] for field in MOST}
        entry = msgspec.structs.replace(entry, **cut)
    return payload


def decoded(payload: bytes, node: str) -> Union[Entry, Other]:
    """Whatever the bytes are; `node` is the key they were found under, which an entry must name."""
    if len(payload) > LARGEST:
        return Other()
    try:
        told = msgspec.json.decode(payload, type=Other)
        if told.node != node:
            return Other()
        if told.protocol != PROTOCOL:
            return told if told.version is None else msgspec.structs.replace(told, version=name(told.version))
        return _clean(msgspec.json.decode(payload, type=Entry))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Other()


def name(text: str) -> str:
    """A short text from outside."""
    return _text(text, LONGEST_NAME)


def text_of(text: str) -> str:
    """A longer text from outside."""
    return _text(text, LONGEST_TEXT)


def _text(text: str, longest: int) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:longest])


def _rounded(value: Optional[float]) -> Optional[float]:
    return None if value is None else round(value, 1)


def _clean(value: T) -> T:
    """Without control characters, at any depth."""
    if isinstance(value, str):
        return _text(value, LONGEST_TEXT)  # type: ignore[return-value]
    if isinstance(value, list):
        return [_clean(each) for each in value]  # type: ignore[return-value]
    if isinstance(value, Struct):
        return msgspec.structs.replace(value, **{field: _clean(getattr(value, field)) for field in value.__struct_fields__})
    return value

"""Messages between `ncsctl bench` and a program that it measures. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Annotated, Dict, List, Optional, Union

from msgspec import Meta, Struct

from ncs_cluster.messages.child import Failed, Hello, Message, Stop
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import Size


class BenchItem(Struct, frozen=True, array_like=True):
    """One picture. See jobs.ledger.Item."""

    name: str
    path: str
    home: Optional[str]


class Pictures(Struct, frozen=True, array_like=True):
    """What every measured program works on, and how it reads it."""

    items: str
    """Path of a file: a list of BenchItem as msgpack. It may be longer than a message."""
    most: Size
    """Larger pictures are scaled down to this size."""


class OpenDevices(Message, frozen=True):
    """To a plain program: one thread for each stick, which opens it and drives it alone."""

    pictures: Pictures
    sticks: List[StickSpec]
    graphs: List[GraphSpec]
    time_scale: float


class OpenCluster(Message, frozen=True):
    """To the program that uses `ncs_cluster.Cluster`."""

    pictures: Pictures
    graph: str
    sticks: int
    """It is ready when so many of its sticks are."""
    settings: Dict[str, Union[str, List[str]]]
    """Keys of ncs-clusterd's settings."""
    config: Optional[str]
    log: str


class Work(Message, frozen=True):
    """Work through pictures. With it comes the descriptor of their numbers, which all programs of a run share; without one the
    program works for `seconds`. See processes/bench/picture_numbers.py."""

    results: str
    """Path of the file that results are appended to, as sinks.jsonl writes them."""
    seconds: Optional[Annotated[float, Meta(gt=0)]] = None


class Ready(Message, frozen=True):
    """The devices are open and each has answered one picture."""

    threads: int
    """Pictures that the program works on at once."""


class Temperatures(Message, frozen=True):
    """The newest readings, sent every second while Work has `seconds`."""

    celsius: Dict[str, Optional[float]]


class Done(Message, frozen=True):
    """Everything that the last Work asked for is in its file."""


ToBench = Union[OpenDevices, OpenCluster, Work, Stop]
FromBench = Union[Hello, Ready, Temperatures, Done, Failed]

"""The interface of policies. Times are plant seconds (real seconds times `time_scale`)."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from ncs_cluster.types import StickId


class StickView(Struct, frozen=True):
    """What a policy knows of one stick."""

    id: StickId
    usable: bool
    """Open and answering."""
    hot: bool
    """At or over the switch temperature: the core gives it no frame, whatever the policy advises."""
    temperature_c: float | None = None
    why_hot: str = ""
    """The reason as a predicate, for people: "is too hot (65.2 °C)"."""
    reading_c: float | None = None
    """The newest reading as it came, where it is valid; `temperature_c` is aged. None: none yet, or the stick has no sensor."""
    read_s: float | None = None
    """When that was read."""
    worked_s: float = 0.0
    """For how long it has worked since it was opened."""
    throttle_level: int = 0
    """How much its firmware slows it: 0, 1 or 2."""
    ceiling_c: float | None = None
    """It has throttled at little more: its die should not get hotter. None: the limit of the view holds."""
    worked_read_s: float | None = None
    """For how long it had worked when `reading_c` was taken; None: for `worked_s`."""


class View(Struct, frozen=True):
    """A pool at one moment. `sticks` is the ring: every known stick in its fixed order."""

    now_s: float
    sticks: list[StickView]
    cluster_size: int
    """How many may work at once; 0: all."""
    limit_c: float = 65.0
    """The switch temperature: no die should get hotter."""

    def limit_of(self, stick: StickView) -> float:
        """What this stick's die should not exceed, in C."""
        return self.limit_c if stick.ceiling_c is None else min(self.limit_c, stick.ceiling_c)


class Advice(Struct, frozen=True):
    """`duties`: for each stick that shall work how hard, 0..1 of its full speed; the others rest."""

    duties: dict[StickId, float]
    switched: str | None = None
    """Reason of the switch, for the event and the status; None: the active set did not change, or not by a switch."""
    next_s: float | None = None
    """When the policy wants to be asked again at the latest."""
    no_alternative: bool = False
    """At `next_s` there is no other cluster to switch to, as far as is known now."""
    by_heat: bool = False
    """The switch is for a temperature: such events are many, and are counted rather than listed."""
    shares: dict[StickId, float] = {}
    """The proportion in which sticks get work when there is less than the duties allow. Empty: the stick that is idle longest gets
    the next frame."""
    cooler_k: float | None = None
    """By how much the hottest stick becomes cooler by these shares than by equal ones, in the long run. None: not known."""
    look_s: float | None = None
    """When the policy wants to see the readings that have come until then; `next_s` is for what it does without any."""


class Policy(Protocol):
    """Called on every change of the view and when `Advice.next_s` has come."""

    @property
    def asked(self) -> bool:
        """True while a switch that an operator asked for is still to come."""

    def advise(self, view: View) -> Advice: ...

    def ask_switch(self) -> None:
        """An operator asks for the next cluster: switch at the next `advise`, where there is one."""

    def clusters(self, view: View) -> list[list[StickId]]:
        """The clusters in the order of their turns, the active one first; for people."""


class PolicyPlugin(Struct, frozen=True, kw_only=True):
    """The registry entry of a policy, known without importing it. Strings that name code are "module:attribute"."""

    name: str
    title: str
    """What it does, for help and docs."""
    create: str
    """`(spec: ClusterSpec, options: Options) -> Policy`."""
    options: str
    """The frozen dataclass of its options, keys of `[policy]`. Its `__post_init__` raises ValueError, one line, for values that
    make no sense."""
    takes_turns: bool = False
    """Clusters take turns: it needs a cluster size, of at most half of the sticks."""
    trip_above_k: float = 0.0
    """The core's own trip lies so far over the switch temperature: for a policy that keeps the dies under it by itself, where a
    reading may be over it by the sensor's error alone."""

"""What every check gets: the machine, the daemon that is judged, its settings, and its status where it runs."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import BackendPlugin
from ncs_cluster.cli.doctor.machine import Machine, Who
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import DiscoverySpec, Settings
from ncs_cluster.status import Status

UNIT = "ncs-clusterd"


class Subject(Struct, frozen=True):
    """The daemon that doctor judges: the running daemon, else the service of this machine, else a daemon that this user starts."""

    what: str
    """ "the running daemon, pid 812", for people."""
    user: str
    uid: int
    groups: list[int]
    argv: list[str] = []
    """Its command line without the program's name."""
    environ: dict[str, str] = {}
    folder: str = "/"
    """Working folder of its command line: the base of relative paths."""
    pid: int | None = None
    unit: str | None = None
    """The unit's file, where the machine has one."""
    private_tmp: bool = False
    """It has a /tmp of its own (PrivateTmp)."""

    @property
    def who(self) -> Who:
        return Who(self.user, self.uid, frozenset(self.groups))


class Read(Struct, frozen=True):
    """Settings as far as they could be read."""

    settings: Settings
    """A refused part is empty."""
    refused: dict[str, str] = {}
    """Part of the settings -> the line that the daemon refuses it with."""
    wanted: list[str] = []
    """Backends as they are asked for; "auto" is one."""
    file: str | None = None
    """The settings' file."""
    late: bool = False
    """Reading the settings took longer than its limit; all of them are empty."""


class Case(NamedTuple):
    machine: Machine
    subject: Subject
    read: Read
    status: Status | None = None
    """None where no daemon answers."""
    silence: str | None = None
    """Why the daemon does not answer, where one may run: it starts, it hangs, or its socket is closed to this user."""
    patience: float = 1.0
    """Time limits are multiplied by it."""

    @property
    def settings(self) -> Settings:
        return self.read.settings

    @property
    def exclude(self) -> list[str]:
        return [port for found in self.settings.discoveries for port in found.exclude]

    @property
    def sticks_are_needed(self) -> bool:
        """A backend is asked for that only works with sticks on the bus."""
        return any(_matched(name) for name in self.read.wanted)

    @property
    def sticks_are_used(self) -> bool:
        """Sticks on the bus would be used: they are needed, or `auto` takes them."""
        return self.sticks_are_needed or "auto" in self.read.wanted or not self.read.wanted

    def asks_for(self, need: str) -> bool:
        """A backend that needs this of the machine is asked for by its name."""
        return any(need in plugin.needs for plugin in map(_plugin, self.read.wanted) if plugin is not None)

    def pools_with(self, need: str) -> list[DiscoverySpec]:
        """Pools whose backend needs this of the machine."""
        found = [(each, _plugin(each.backend)) for each in self.settings.discoveries]
        return [each for each, plugin in found if plugin is not None and need in plugin.needs]

    def option(self, need: str, name: str) -> object:
        """An option of the first of these pools, as it was set; None where it was not."""
        return next((each.options.get(name) for each in self.pools_with(need)), None)


def _plugin(backend: str) -> BackendPlugin | None:
    """None for `auto`, and for a name that is not known."""
    try:
        return None if backend == "auto" else BACKENDS.get(backend)
    except ConfigError:
        return None


def _matched(backend: str) -> bool:
    plugin = _plugin(backend)
    return plugin is not None and plugin.matched is not None

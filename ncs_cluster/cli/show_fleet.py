"""Text of `ncsctl fleet status`, `top` and `events`: one row for each host. Structs in, lines out, no I/O."""

from __future__ import annotations

from ncs_cluster import __version__
from ncs_cluster.cli import show
from ncs_cluster.cli.show_fleet_work import in_hand
from ncs_cluster.cli.text import UNKNOWN, Cell, duration, number, printable, table
from ncs_cluster.fleet.bucket import Host, Hosts
from ncs_cluster.fleet.entry import PROTOCOL, Other
from ncs_cluster.fleet.events import FleetEvent
from ncs_cluster.status import Event

Lines = list[list[Cell]]

HEAD = ["HOST", "VERSION", "STATE", "STICKS", "HOTTEST", "RATE", "HEADROOM", "AGE"]
STYLES = {"ok": "good", "degraded": "warn", "down": "bad"}


def hosts(found: Hosts) -> Lines:
    """The table, and what is wrong with each host."""
    if not found.hosts:
        return [[Cell("no host is announced at this server", "bad")]]
    rows = [_row(host, host.node in found.drained) for host in found.hosts]
    lines: Lines = table(HEAD, rows, right=range(3, len(HEAD)))
    lines += [[Cell(printable(f"{host.node}: {text}"), "warn")] for host in found.hosts for text in _remarks(host)]
    if found.left_out:
        lines.append([Cell(f"{found.left_out} more hosts are left out", "warn")])
    return lines


def top(found: Hosts) -> Lines:
    """The sums, and the table with the busiest host first."""
    here = [host.entry for host in found.hosts if not isinstance(host.entry, Other) and not host.gone]
    usable, present = sum(each.sticks_usable for each in here), sum(each.sticks_present for each in here)
    hottest = max((each.hottest_c for each in here if each.hottest_c is not None), default=None)
    words = [
        f"{len(here)} host{'s' * (len(here) != 1)}",
        f"{usable}/{present} sticks",
        number(sum(each.fps for each in here), ".1f", "/s"),
        f"{number(hottest, '.1f', ' °C')} at most",
        f"{sum(len(each.cameras) for each in here)} cameras",
        f"{sum(len(each.jobs) for each in here)} jobs",
    ]
    by_rate = sorted(found.hosts, key=lambda host: 0.0 if isinstance(host.entry, Other) or host.gone else -host.entry.fps)
    return [[Cell(", ".join(words))], [], *hosts(found._replace(hosts=by_rate))]


def event(each: FleetEvent) -> list[Cell]:
    """One event as one line."""
    of = Event(0, each.at, printable(each.level), each.who, each.text, each.name)
    moment, *rest = show.event(of)
    return [moment, Cell(f"{printable(each.node):<12}  "), *rest]


def _row(host: Host, away: bool) -> list[Cell]:
    told, age = host.entry, Cell(duration(host.age_s), "bad" if host.gone else "")
    if isinstance(told, Other):
        return [Cell(host.node), _version(told.version), Cell("unreadable", "bad"), *[Cell(UNKNOWN)] * 4, age]
    # asked for, but not confirmed: a host of an older version never will
    drain = ", drained" if told.drained else ", draining" if away or told.draining else ""
    state = Cell("gone", "bad") if host.gone else Cell(printable(told.state) + drain, STYLES.get(told.state, "bad"))
    full = told.sticks_usable >= told.sticks_present
    spare = told.headroom_fps
    return [
        Cell(host.node),
        _version(told.version),
        state,
        Cell(f"{told.sticks_usable}/{told.sticks_present}", "" if full else "warn"),
        Cell(number(told.hottest_c, ".1f", " °C")),
        Cell(number(told.fps, ".1f", "/s")),
        Cell(number(spare, "+.1f", "/s"), "bad" if spare is not None and spare < 0 else ""),
        age,
    ]


def _version(version: str | None) -> Cell:
    return Cell(printable(version) if version else UNKNOWN, "" if version == __version__ else "warn")


def _remarks(host: Host) -> list[str]:
    told = host.entry
    if isinstance(told, Other):
        if told.protocol is None:
            return ["what stands under its name is no entry of ncs_cluster"]
        return [f"speaks protocol {told.protocol} of the fleet, and this ncsctl {PROTOCOL}; use the newer ncsctl"]
    remarks = [f"version {told.version}, and this ncsctl is {__version__}"] if told.version != __version__ else []
    if told.draining and (still := in_hand(told.chunks, told.frames)):
        remarks.append(f"still has {still}")
    return remarks if host.gone else [*remarks, *told.reasons]

"""Text of clusters and pools for `ncsctl status`: structs in, lines out, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncs_cluster.cli.text import NARROW, Cell, clock, duration, number, printable

if TYPE_CHECKING:
    from ncs_cluster.status import ClusterStatus, DaemonStatus, PoolStatus, Status

Lines = list[list[Cell]]


def clusters(document: Status) -> Lines:
    """Each pool's policy and its turns, then what concerns all of them."""
    about, turns = document.daemon, document.clusters
    pools = [pool for pool in document.pools if not (pool.fallback or pool.overflow)]
    several = len(pools) > 1
    if several:
        lines = [line for pool in pools for line in _pool(pool)]
        lines[0][0] = Cell("clusters  ", "dim")
    else:
        lines = [[Cell("clusters  ", "dim"), Cell(_rule(about))]]
    if len(turns.ring) > 1:
        lines += _ring(turns.ring, set(turns.active))
    cells = []
    if turns.shedding:
        unread = any(stick.state == "resting" and stick.temperature_c is None for stick in document.sticks)
        # the reasons above count those that are too hot and those without a temperature
        cells.append(Cell(f"{'every stick rests' if unread else 'every stick is too hot'}: no frame is processed", "bad"))
    elif not several:
        cells += _turns(turns)
    if cells:
        lines.append(_joined(cells))
    if turns.last_switch:
        lines.append([Cell(f"  last switch at {clock(turns.last_switch.at)}: {printable(turns.last_switch.reason)}")])
    if document.load is not None and document.load.said is not None:
        lines.append([Cell(f"  {printable(document.load.said)}", "bold")])
    return [*lines, *fallback(document), *overflow(document), *original(document), *shadows(document)]


def _pool(pool: PoolStatus) -> Lines:
    """Its name and rule, and its turns where it has any."""
    rested = [Cell("every stick of it rests", "bad")] if pool.shedding else _turns(pool)
    lines = [[Cell("          "), Cell(f"{printable(pool.name)}: ", "bold"), Cell(_rule(pool))]]
    return [*lines, *([[Cell("          "), *_joined(rested)]] if rested else [])]


def _turns(turns: ClusterStatus | PoolStatus) -> list[Cell]:
    cells = [] if turns.next_switch_s is None else [Cell(f"next switch in {turns.next_switch_s:.0f} s")]
    return [*cells, *([Cell(f"{turns.switches} switches so far")] if turns.switches else [])]


def _joined(cells: list[Cell]) -> list[Cell]:
    return [Cell("  "), *(cell for each in cells for cell in (each, Cell("; ", "dim")))][:-1]


def fallback(document: Status) -> Lines:
    """Whether it works, and how often it has."""
    if (known := document.fallback) is None:
        return []
    workers = ", ".join(printable(stick.id) for stick in document.sticks if stick.pool == known.pool)
    before = (
        f"; {known.takeovers} {'time' if known.takeovers == 1 else 'times'} so far, {duration(known.served_s)} together"
        if known.takeovers
        else ""
    )
    if known.serving:
        return [
            [Cell("fallback  ", "dim"), Cell(f"{workers} works at {known.fps:.1f}/s in place of the sticks", "warn"), Cell(before)]
        ]
    does = "stands by" if known.ready else "is not running" if known.reason is None else "is not ready"
    return [[Cell("fallback  ", "dim"), Cell(f"{workers} {does}{before}")]]


def overflow(document: Status) -> Lines:
    """Whether neighbours get frames, and what has become of those that they got."""
    if (known := document.overflow) is None:
        return []
    does = "stand by" if known.ready else "are not reached"
    if known.serving:
        times = f"{number(known.latency_ms.p50)}/{number(known.latency_ms.p99)} ms"
        does = (
            f"answer {known.fps:.1f}/s in {times}, with {known.bytes_per_s / 1000:.0f} of {known.most_bytes_per_s / 1000:.0f} kB/s"
        )
    counts = {"answered": known.answered, "late": known.late, "refused": known.refused, "held back": known.held_back}
    told = f"; {known.sent} sent: {', '.join(f'{count} {how}' for how, count in counts.items() if count)}" if known.sent else ""
    return [[Cell("overflow  ", "dim"), Cell(f"neighbours {does}", "warn" if known.serving else ""), Cell(told)]]


def original(document: Status) -> Lines:
    """What the original script's policy makes of the same simulated sticks, as the page shows it."""
    if (twin := document.original) is None:
        return []
    hottest = max(twin.temperatures_c, default=None)
    figures = (
        f"{number(hottest, '.1f', ' °C')} at most, {twin.fps:.1f}/s, throttled {twin.throttled_s:.0f} s, {twin.switches} switches"
    )
    latched = Cell("; latched: all its sticks work, and stay hot", "bad") if twin.latched else Cell("")
    return [[Cell(f"  the original script on such sticks (simulated): {figures}"), latched]]


def shadows(document: Status) -> Lines:
    """What the policy `predictive` would do, where that differs from what is done."""
    lines = []
    for pool in document.pools:
        where = f"{printable(pool.name)}: " if sum(not (each.fallback or each.overflow) for each in document.pools) > 1 else ""
        lines += [[Cell(f"  {where}{printable(text)}", "bold")] for text in (pool.shadow.said if pool.shadow else [])]
    return lines


def _rule(about: DaemonStatus | PoolStatus) -> str:
    """What the policy does, in words."""
    limit = f"{about.switch_temp_c:g} °C"
    if about.policy == "all":
        return f"all sticks are active; one that reaches {limit} rests"
    if about.policy == "predictive":
        together = f", together as hard as {about.cluster_size}" if about.cluster_size else ""
        return f"predictive: each stick works as hard as {limit} allows{together}"
    if about.policy == "coolest":
        return f"the coolest sticks are active{f', {about.cluster_size} at a time' if about.cluster_size else ''}, under {limit}"
    interval = f" or after {about.switch_interval_s:g} s" if about.switch_interval_s else ""
    return f"{about.policy}, {about.cluster_size} at a time: switch at {limit}{interval}"


def _ring(ring: list[list[str]], active: set[str]) -> Lines:
    """Clusters in the order of their turns, the active one marked, wrapped at NARROW columns."""
    lines: Lines = [[Cell(" ")]]
    used = 1
    for at, members in enumerate(ring):
        # of several pools, each has an active cluster
        is_active = bool(members) and active.issuperset(members)
        text = ("▶ " if is_active else "") + " ".join(members)
        if used + len(text) + 3 > NARROW:
            lines.append([Cell(" ")])
            used = 1
        used += len(text) + 3
        lines[-1] += [Cell(" "), Cell(text, "good" if is_active else ""), Cell(" ·" if at < len(ring) - 1 else "", "dim")]
    return lines

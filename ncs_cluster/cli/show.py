"""Text of `ncsctl status`, `top` and `events`: structs in, lines out, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncs_cluster.cli import show_clusters
from ncs_cluster.cli.text import NARROW, UNKNOWN, Cell, clock, duration, number, printable, table

if TYPE_CHECKING:
    from ncs_cluster.status import Event, LatencyStatus, Status

Lines = list[list[Cell]]

HEALTH = {"ok": "good", "degraded": "warn", "down": "bad"}
STICK = {"active": "good", "standby": "", "starting": "dim", "draining": "", "resting": "warn", "parked": "warn"}
CAMERA = {"running": "good", "starting": "dim", "ended": "dim"}


def status(document: Status) -> Lines:
    """The whole document, the most important part first."""
    blocks = [
        daemon(document),
        show_clusters.clusters(document),
        sticks(document),
        cameras(document),
        intakes(document),
        jobs(document),
        fleet(document),
        totals(document),
    ]
    blocks += [[machine(document)], processes(document)]
    return [line for block in blocks if block for line in (*block, [])][:-1]


def intakes(document: Status) -> Lines:
    """Where other programs send pictures, and which do."""
    if not document.intakes:
        return []
    from ncs_cluster.cli import show_intakes

    return show_intakes.listed(document.intakes)


def jobs(document: Status) -> Lines:
    """Jobs that have not ended; of jobs over hosts see `fleet`."""
    if not (running := [job for job in document.jobs if job.state in ("running", "paused") and job.chunk_of is None]):
        return []
    from ncs_cluster.cli import show_jobs

    return show_jobs.listed(running)


def fleet(document: Status) -> Lines:
    """Whether this host is drained, and the jobs over hosts that it works on."""
    known = document.fleet
    if known is None or (known.drain not in ("draining", "drained") and not any(job.state == "running" for job in known.jobs)):
        return []
    from ncs_cluster.cli import show_fleet_work

    return show_fleet_work.status(known)


def top(document: Status) -> Lines:
    """The machine, and the daemon's processes, the busiest first."""
    return [*daemon(document), machine(document), [], *processes(document, by_cpu=True)]


def daemon(document: Status) -> Lines:
    about = document.daemon
    state = about.state
    head = [
        Cell(f"ncs-clusterd {about.version}  "),
        Cell(state, HEALTH.get(state, "")),
        Cell(f"  up {duration(about.uptime_s)}, pid {about.pid}"),
    ]
    if about.simulated:
        faster = f", heat x {about.time_scale:g}" if about.time_scale != 1 else ""
        head.append(Cell(f", simulated sticks{faster}", "dim"))
    elif drivers := sorted({stick.backend for stick in document.sticks}):
        # shows which backend `--backend auto` has chosen
        head.append(Cell(f", backend {', '.join(map(printable, drivers))}", "dim"))
    return [head, *([Cell(f"  {printable(reason)}", HEALTH.get(state, ""))] for reason in about.reasons)]


def sticks(document: Status) -> Lines:
    if not document.sticks:
        return [[Cell("no stick", "bad")]]
    limits = {pool.name: pool.switch_temp_c for pool in document.pools if not (pool.fallback or pool.overflow)}
    reset = any(stick.resets for stick in document.sticks)
    rows, errors, firmware = [], [], dict[str, list[str]]()
    for stick in document.sticks:
        heat, headroom = stick.temperature_c, stick.headroom_s
        limit = limits.get(stick.pool, document.daemon.switch_temp_c)
        # a policy may let a stick work a little above the switch temperature: hot is where it rests
        hot = heat is not None and heat >= (limit if stick.limit_c is None else stick.limit_c)
        rows.append(
            [
                Cell(stick.id, "bold" if stick.state == "active" else ""),
                # the id of a stick that is found on a bus holds its port
                Cell(_short(printable(stick.name or stick.port), 12)),
                Cell(stick.state, STICK.get(stick.state, "bad")),
                Cell(number(heat, ".1f", " °C"), "bad" if hot else "warn" if heat is not None and heat >= limit - 5 else ""),
                Cell(_heat(hot, stick.throttle_level, stick.headroom_c, headroom), "bad" if hot or stick.throttle_level else ""),
                Cell(number(stick.fps, ".1f")),
                Cell(_pair(stick.latency_ms)),
                *([Cell(str(stick.resets), "warn" if stick.resets else "")] if reset else []),
                Cell(str(stick.restarts), "warn" if stick.restarts else ""),
            ]
        )
        if stick.firmware:
            firmware.setdefault(printable(stick.firmware), []).append(stick.id)
        if stick.last_error:
            past = "" if stick.recovered_s is None else f"recovered, {duration(stick.recovered_s)} ago: "
            errors.append([Cell(f"  {stick.id}: {past}{printable(stick.last_error)}", "dim" if past else "warn")])
    several = len(set(limits.values())) > 1
    until = "TO LIMIT" if several else f"TO {document.daemon.switch_temp_c:g} °C"
    head = ["STICK", "PORT", "STATE", "TEMP", until, "FPS", "MS P50/P99", *["RESETS"] * reset, "RESTARTS"]
    lines = table(head, rows, right=(3, 4, 5, 6, 7, 8))
    for version, on in firmware.items():
        where = "" if len(firmware) == 1 else f" on {', '.join(on)}"
        lines.append([Cell("firmware  ", "dim"), Cell(f"{version}{where}")])
    lines += _sustained(document)
    lines += [[Cell(f"  {stick.id}: {printable(text)}", "warn")] for stick in document.sticks for text in stick.remarks]
    return [*lines, *([[Cell("last errors", "dim")]] if errors else []), *errors]


def _heat(hot: bool, throttle_level: int | None, headroom_c: float | None, headroom_s: float | None) -> str:
    """Throttling if there is any, else how far and how long it is to the switch temperature."""
    if throttle_level:
        return f"slowed {throttle_level}"
    if hot:
        return "hot"
    parts = [number(headroom_c, ".0f", " K"), number(headroom_s, ".0f", " s")]
    return ", ".join(part for part in parts if part != UNKNOWN) or UNKNOWN


def _sustained(document: Status) -> Lines:
    """What each stick could keep up for ever, wrapped at NARROW columns."""
    known = [(stick.id, stick.sustainable_fps) for stick in document.sticks if stick.sustainable_fps is not None]
    lines: Lines = []
    used = NARROW
    for name, rate in known:
        text = f"{name} {rate:.1f}/s"
        if used + len(text) + 2 > NARROW:
            lines.append([Cell("          " if lines else "sustains  ", "dim")])
            used = 10
        used += len(text) + 2
        lines[-1].append(Cell(f"{text}  "))
    return lines


def cameras(document: Status) -> Lines:
    rows, details = [], []
    for camera in document.cameras:
        size = camera.size
        rows.append(
            [
                Cell(camera.name),
                Cell(_short(printable(camera.source))),
                Cell(camera.state, CAMERA.get(camera.state, "bad")),
                Cell(f"{size[0]}x{size[1]}" if size else UNKNOWN),
                Cell(number(camera.capture_fps, ".1f")),
                Cell(number(camera.detection_fps, ".1f")),
                Cell(f"{number(camera.latency_ms.p50)} ahead" if camera.ordered else _pair(camera.latency_ms)),
                Cell(str(camera.frames)),
                Cell(str(camera.dropped + camera.late + camera.given_up)),
            ]
        )
        if camera.detail:
            details.append([Cell(f"  {camera.name}: {printable(camera.detail)}", "dim")])
    head = ["CAMERA", "SOURCE", "STATE", "SIZE", "FPS", "FOUND/S", "MS P50/P99", "FRAMES", "SKIPPED"]
    return [*table(head, rows, right=(4, 5, 6, 7, 8)), *details] if rows else [[Cell("no camera", "bad")]]


def totals(document: Status) -> Lines:
    counters = document.counters
    parts = [
        ("frames lost", counters.frames_lost, ""),
        ("doubled", counters.frames_doubled, ""),
        ("out of order", counters.out_of_order, ""),
        ("throttled", counters.throttled_s, " s"),
    ]
    line = [Cell("counters  ", "dim")]
    for at, (name, value, unit) in enumerate(parts):
        line.append(Cell(f"{', ' if at else ''}{name} {value:.0f}{unit}", "bad" if value else ""))
    lines = [line]
    if (sink := document.sink) is not None:
        bad = bool(sink.detail or sink.lost)
        text = f"{sink.written} written, {sink.waiting} waiting, {sink.lost} lost to {printable(sink.path)}"
        text += f": {printable(sink.detail)}" if sink.detail else ""
        lines.append([Cell("results   ", "dim"), Cell(text, "bad" if bad else "")])
    return lines


def machine(document: Status) -> list[Cell]:
    about = document.machine
    if about is None:
        return [Cell("machine   ", "dim"), Cell(UNKNOWN)]
    memory = about.memory_used_mb / max(1.0, about.memory_total_mb)
    heat = about.temperature_c
    return [
        Cell("machine   ", "dim"),
        Cell(f"CPU {about.cpu_percent:.0f} % of {about.cores} cores", "warn" if about.cpu_percent >= 90 else ""),
        Cell(f", load {about.load_1m:.2f}, memory "),
        Cell(
            f"{about.memory_used_mb / 1000:.1f} of {about.memory_total_mb / 1000:.1f} GB",
            "warn" if memory >= 0.9 else "",
        ),
        Cell(f", {number(heat, '.0f', ' °C')}" if heat is not None else "", "warn" if heat is not None and heat >= 80 else ""),
        Cell("" if about.ambient_c is None else f", air {about.ambient_c:.1f} °C"),
        Cell("" if about.fan_duty is None else "; fan off" if not about.fan_duty else f"; fan at {100 * about.fan_duty:.0f} %"),
    ]


def processes(document: Status, *, by_cpu: bool = False) -> Lines:
    listed = list(document.processes)
    if by_cpu:
        listed.sort(key=lambda each: -(each.cpu_percent or 0.0))
    rows = [
        [
            Cell(each.name),
            Cell(UNKNOWN if each.pid is None else str(each.pid)),
            Cell(each.state),
            Cell(number(each.cpu_percent, ".1f", " %")),
            Cell(number(each.memory_mb, ".0f", " MB")),
            Cell(str(each.restarts), "warn" if each.restarts else ""),
        ]
        for each in listed
    ]
    return table(["PROCESS", "PID", "STATE", "CPU", "MEMORY", "RESTARTS"], rows, right=(1, 3, 4, 5)) if rows else []


def event(each: Event) -> list[Cell]:
    """One event as one line."""
    level = each.level
    return [
        Cell(clock(each.at, with_day=True) + "  ", "dim"),
        Cell(f"{level:<8}", {"error": "bad", "warning": "warn"}.get(level, "")),
        Cell(f"{printable(each.who) + (f' ({printable(each.name)})' if each.name else ''):<12}  "),
        Cell(printable(each.text)),
    ]


def _pair(latency_ms: LatencyStatus) -> str:
    """ "p50/p99", milliseconds."""
    return UNKNOWN if latency_ms.p50 is None else f"{number(latency_ms.p50)}/{number(latency_ms.p99)}"


def _short(text: str, width: int = 24) -> str:
    """The text cut to `width` characters, in its middle: ends of paths and addresses tell them apart."""
    return text if len(text) <= width else f"{text[: width // 2 - 1]}…{text[-width // 2 :]}"

"""Builds the status document from the engine, read-only. The document is a contract, see docs/status.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from msgspec import structs

from ncs_cluster.core.camera import Camera
from ncs_cluster.core.child import State
from ncs_cluster.core.child_health import complaint, last_error, shown_state
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.intake import Intake
from ncs_cluster.core.reasons import ready, reasons, shedding, stick_state
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.shadow import Shadow
from ncs_cluster.core.sinks import Sink
from ncs_cluster.core.stick import Stick
from ncs_cluster.core.stick_queue import StickQueue
from ncs_cluster.core.work import Count
from ncs_cluster.status import (
    CameraStatus,
    ClusterStatus,
    CountersStatus,
    DaemonStatus,
    FallbackStatus,
    FleetStatus,
    IntakeStatus,
    LastSwitch,
    LatencyStatus,
    LoadStatus,
    MachineStatus,
    OverflowStatus,
    PoolStatus,
    ProcessStatus,
    ShadowStatus,
    SinkStatus,
    Status,
    StickStatus,
)


def status(
    engine: Engine,
    now_s: float,
    now_at: float,
    *,
    version: str,
    pid: int,
    machine: MachineStatus | None,
    usage: Mapping[int, tuple[float, float]],
) -> Status:
    """The status at `now_s`. `now_at`: Unix seconds. `usage`: process id -> (CPU percent of one core, memory in MB)."""
    regulators = list(engine.workers.regulators.values())
    first = regulators[0]
    reserve = None if engine.fallback is None else engine.fallback.regulator
    spare = None if engine.workers.overflow is None else engine.workers.overflow.regulator
    sticks = [_stick(engine, stick, now_s) for stick in engine.sticks.by_id.values() if not stick.renamed and not stick.removed]
    why, down = reasons(engine, now_s)
    switched = [each.last_switch for each in regulators if each.last_switch is not None]
    last = max(switched, default=None)
    due = [when_s for each in regulators if (when_s := _next_switch_s(each, now_s)) is not None]
    of_jobs = engine.jobs.cameras
    cameras = [each for each in engine.cameras.by_name.values() if not each.removed and each.spec.name not in of_jobs]
    no_job = [sink for sink in engine.sinks.by_name.values() if sink.spec.ledger is None]
    first_sink = next((sink for sink in no_job if sink.spec.records), None)
    return Status(
        daemon=DaemonStatus(
            version=version,
            pid=pid,
            uptime_s=round(now_s - engine.began_s, 1),
            state="down" if down else "degraded" if why else "ok",
            reasons=why,
            ready=ready(engine, now_s) is None,
            alive=True,
            policy=first.spec.policy,
            cluster_size=first.cluster_size,
            switch_temp_c=first.spec.switch_temp_c,
            switch_interval_s=first.spec.switch_interval_s,
            time_scale=first.spec.time_scale,
            simulated=engine.settings.simulated,
        ),
        clusters=ClusterStatus(
            active=[stick for each in regulators for stick in each.active],
            next_switch_s=min(due, default=None),
            switches=sum(each.switches for each in regulators),
            last_switch=None if last is None else LastSwitch(round(now_at - (now_s - last[0]), 3), last[1]),
            shedding=shedding(engine, now_s),
            ring=[list(cluster) for each in regulators if each not in (reserve, spare) for cluster in each.clusters(now_s)],
        ),
        sticks=sticks,
        cameras=[_camera(engine, camera, now_s) for camera in cameras],
        counters=CountersStatus(
            frames_lost=engine.tally.lost,
            frames_doubled=engine.tally.doubled,
            out_of_order=engine.tally.out_of_order,
            throttled_s=round(sum(_throttled_s(engine, stick) for stick in engine.sticks.by_id.values()), 1),
        ),
        machine=machine,
        processes=[
            _process("supervisor", pid, "running", 0, usage),
            *(_process(str(each.endpoint), each.pid, shown_state(each, now_s), each.restarts, usage) for each in engine.children()),
        ],
        sink=_sink(first_sink, now_s) if first_sink is not None else None,
        graphs=[str(graph.name) for graph in engine.settings.graphs],
        pools=[structs.replace(_pool(each, now_s), fallback=each is reserve, overflow=each is spare) for each in regulators],
        sinks=[_sink(sink, now_s) for sink in no_job],
        jobs=engine.jobs.status(now_s),
        load=LoadStatus(
            asked_fps=_rounded(engine.load.asked),
            capacity_fps=_rounded(engine.load.capacity),
            overloaded=engine.load.overloaded,
            limited_by=engine.load.limited_by,
            retry_after_s=engine.load.retry_after_s(now_s),
            said=engine.load.said,
        ),
        intakes=_intakes(engine, now_s),
        inputs=_inputs(engine),
        fallback=_fallback(engine, now_s),
        overflow=_overflow(engine, now_s),
        fleet=_fleet(engine, now_s, now_at),
    )


def _fallback(engine: Engine, now_s: float) -> FallbackStatus | None:
    if (fallback := engine.fallback) is None:
        return None
    return FallbackStatus(
        pool=fallback.spec.pool.name,
        ready=fallback.ready,
        serving=fallback.serving,
        reason=fallback.reason(now_s),
        fps=round(fallback.fps(now_s), 1),
        takeovers=fallback.takeovers,
        served_s=round(fallback.served_s(now_s), 1),
    )


def _overflow(engine: Engine, now_s: float) -> OverflowStatus | None:
    if (overflow := engine.workers.overflow) is None:
        return None
    counts, options = overflow.counts, overflow.spec.pool.sticks[0].options
    queue = next(iter(engine.dispatcher.spares.values()), None)
    return OverflowStatus(
        pool=overflow.spec.pool.name,
        server=overflow.spec.shown,
        ready=overflow.ready,
        serving=overflow.serving,
        fps=round(overflow.fps(now_s), 1),
        latency_ms=LatencyStatus(None, None) if queue is None else queue.latency.status(),
        sent=counts.sent,
        answered=counts.answered,
        late=counts.late,
        refused=counts.refused,
        held_back=counts.held_back,
        bytes=counts.bytes,
        bytes_per_s=round(overflow.bytes_per_s, 1),
        most_bytes_per_s=options["bytes_per_s"],
    )


def _fleet(engine: Engine, now_s: float, now_at: float) -> FleetStatus | None:
    drain = engine.fleet_drain
    if (sink := drain.announced) is None:
        return None
    jobs = engine.jobs.fleet_status(now_s, now_at)
    return FleetStatus(sink.spec.options["node"], sink.spec.shown, drain.state, drain.chunks, drain.frames, jobs)


def _inputs(engine: Engine) -> dict[str, tuple[int, int]]:
    ports = engine.workers.ports
    names = [str(graph.name) for graph in engine.settings.graphs if graph.name in ports]
    return {name: (ports[name].width, ports[name].height) for name in names}


def _intakes(engine: Engine, now_s: float) -> list[IntakeStatus]:
    """Those of processes of their own, then the page's, where it has one."""
    statuses = []
    for process in engine.intake_processes.values():
        state, detail = shown_state(process.child, now_s), complaint(process.child, now_s)
        shown = _intake(process.intake, now_s, process.address or process.spec.shown, state, detail)
        options = process.spec.options
        told = {name: options.get(name) for name in ("colours", "deadline_ms")}
        own_labels = options.get("labelmap") is not None
        statuses.append(structs.replace(shown, clients=process.clients, own_labels=own_labels, **told))
    page = engine.intakes.by_name.get("api")
    if page is not None and page.is_open and engine.gateway is not None:
        address = engine.gateway.address
        shown_at = None if address is None else f"http://{address[0]}:{address[1]}/"
        shown = _intake(page, now_s, shown_at, shown_state(engine.gateway.child, now_s), None)
        statuses.append(structs.replace(shown, clients=engine.gateway.clients))
    return statuses


def _intake(intake: Intake, now_s: float, address: str | None, state: str, detail: str | None) -> IntakeStatus:
    stream = intake.stream
    return IntakeStatus(
        name=intake.name,
        address=address,
        state=state,
        detail=detail,
        open=len(intake.asks),
        fps=round(stream.detection.per_s(now_s), 1) if stream else 0.0,
        answered=intake.answered,
        failed=intake.failed,
        withdrawn=intake.withdrawn,
        latency_ms=stream.latency.status() if stream else LatencyStatus(None, None),
    )


def _pool(regulator: Regulator, now_s: float) -> PoolStatus:
    spec = regulator.spec
    return PoolStatus(
        name=regulator.pool.name,
        policy=spec.policy,
        cluster_size=regulator.cluster_size,
        switch_temp_c=spec.switch_temp_c,
        switch_interval_s=spec.switch_interval_s,
        active=list(regulator.active),
        next_switch_s=_next_switch_s(regulator, now_s),
        switches=regulator.switches,
        shedding=regulator.shedding,
        shadow=_shadow(regulator.shadow),
        cooler_k=_rounded(regulator.cooler_k),
    )


def _shadow(shadow: Shadow) -> ShadowStatus | None:
    if not shadow.sticks:
        return None
    return ShadowStatus(
        settled=shadow.unlimited is not None,
        sustainable_fps=_rounded(shadow.with_size),
        unlimited_fps=_rounded(shadow.unlimited),
        allowed_fps=_rounded(shadow.allowed),
        said=list(shadow.said),
    )


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


def _next_switch_s(regulator: Regulator, now_s: float) -> float | None:
    """Seconds until the policy switches by timer; None where no timer runs."""
    timed = regulator.active and regulator.takes_turns and regulator.spec.switch_interval_s > 0 and not regulator.no_alternative
    due_s = regulator.policy_deadline_s if timed else None
    return None if due_s is None else round(max(0.0, due_s - now_s), 2)


def _throttled_s(engine: Engine, stick: Stick) -> float:
    return stick.throttled_s / engine.sticks.time_scale(stick)


def _stick(engine: Engine, stick: Stick, now_s: float) -> StickStatus:
    scale = engine.sticks.time_scale(stick)
    attached = engine.dispatcher.queue_of(stick.spec.id)
    queue = attached or StickQueue(stick.spec.id, 1)
    running = stick.child.running
    temperature_c = stick.zone.temperature_c(now_s * scale) if running else None
    age_s = stick.zone.age_s(now_s * scale) if running else None
    headroom_s, headroom_c, sustainable_fps, remarks = _heat(engine, stick, now_s * scale) if running else (None, None, None, [])
    error, recovered_s = last_error(stick.child, now_s)
    factor = engine.workers.slowdowns.factor(stick.spec.id)
    return StickStatus(
        id=stick.spec.id,
        port=stick.spec.port,
        backend=stick.spec.backend,
        device=stick.device,
        state=stick_state(engine, stick),
        temperature_c=None if temperature_c is None else round(temperature_c, 1),
        temperature_age_s=None if age_s is None else round(age_s / scale, 2),
        throttle_level=stick.throttle_level if running else None,
        headroom_s=None if headroom_s is None else round(headroom_s / scale, 1),
        fps=round(queue.done.per_s(now_s), 1),
        latency_ms=queue.latency.status(),
        in_flight=len(queue.in_flight),
        inferences=stick.inferences,
        restarts=stick.child.restarts,
        last_error=error,
        pid=stick.child.pid,
        throttled_s=round(stick.throttled_s / scale, 1),
        firmware=stick.firmware,
        resets=stick.resets,
        pool=stick.spec.pool,
        recovered_s=recovered_s,
        name=stick.spec.name,
        max_in_flight=queue.max_in_flight if running else None,
        executors=attached.executors if attached is not None else None,
        headroom_c=_rounded(headroom_c),
        sustainable_fps=_rounded(sustainable_fps),
        remarks=remarks,
        slowdown=None if factor is None or not running else round(factor, 2),
        duty=round(attached.duty, 3) if attached is not None else None,
        limit_c=round(stick.zone.trip_c, 1) if stick.zone.has_sensor else None,
        runtime=stick.spec.runtime,
        usb_mbps=stick.usb_mbps if stick.present else None,
        boots=stick.boots,
        failed=stick.failed,
        parked=stick.parked,
    )


def _heat(engine: Engine, stick: Stick, plant_s: float) -> tuple[float | None, float | None, float | None, list[str]]:
    """Headroom in plant seconds and in K, sustainable rate, remarks."""
    regulator = engine.workers.regulators.get(stick.spec.pool)
    if regulator is None:
        return stick.zone.headroom_s(plant_s), None, None, []
    shadow, me = regulator.shadow, stick.spec.id
    headroom_s = shadow.headroom_s(me) if shadow.foresees(me) else stick.zone.headroom_s(plant_s)
    return headroom_s, shadow.headroom_c(me), shadow.sustainable_rate(me), shadow.remarks(me)


def _camera(engine: Engine, camera: Camera, now_s: float) -> CameraStatus:
    stream = camera.stream
    share = engine.load.shares.get(camera.spec.name)
    count = engine.tally.streams.get(camera.spec.name) or Count()
    if camera.ended:
        state = "ended"
    elif camera.child.state is State.BACKOFF:
        state = "backoff"
    elif camera.signal:
        state = "running"
    else:
        state = "no-signal" if camera.child.running or camera.detail else "starting"
    return CameraStatus(
        name=camera.spec.name,
        source=camera.spec.shown,
        state=state,
        detail=camera.detail,
        size=None if camera.info is None else (camera.info.width, camera.info.height),
        depth=camera.info is not None and camera.info.depth_scale_m is not None,
        capture_fps=camera.capture_fps if camera.signal else 0.0,
        preview_fps=camera.preview_fps if camera.viewers or camera.spec.window else 0.0,
        detection_fps=round(stream.detection_fps(now_s), 1) if stream else 0.0,
        frames=camera.frames,
        results=count.result,
        dropped=count.dropped,
        late=count.late,
        given_up=count.given_up,
        latency_ms=stream.latency.status() if stream else LatencyStatus(None, None),
        picture_ms=camera.drawing.status(),
        distance_error=round(statistics.median(camera.range_errors), 4) if camera.range_errors else None,
        ordered=camera.ordered,
        share_fps=None if stream is None or share is None else round(share / max(1, len(stream.graphs)), 1),
    )


def _process(name: str, pid: int | None, state: str, restarts: int, usage: Mapping[int, tuple[float, float]]) -> ProcessStatus:
    cpu_percent, memory_mb = usage.get(pid or 0, (None, None))
    return ProcessStatus(name, pid, state, cpu_percent, memory_mb, restarts)


def _sink(sink: Sink, now_s: float) -> SinkStatus:
    state = "blocked" if sink.blocked else shown_state(sink.child, now_s)
    outbox, detail = sink.outbox, sink.detail(now_s)
    return SinkStatus(sink.spec.shown, state, outbox.written, outbox.kept, outbox.lost, detail, sink.spec.name)

"""Builds the status document from the engine, read-only. The document is a contract, see docs/status.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from ncs_cluster.core.camera import Camera
from ncs_cluster.core.child import State
from ncs_cluster.core.child_health import complaint, last_error, shown_state
from ncs_cluster.core.engine import Engine
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
    LastSwitch,
    LatencyStatus,
    LoadStatus,
    MachineStatus,
    PoolStatus,
    ProcessStatus,
    ShadowStatus,
    SinkStatus,
    Status,
    StickStatus,
)

READY_S = 5.0
"""A younger result shows that the sticks work."""


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
    sticks = [_stick(engine, stick, now_s) for stick in engine.sticks.by_id.values() if not stick.renamed and not stick.removed]
    reasons, down = _reasons(engine, now_s)
    switched = [each.last_switch for each in regulators if each.last_switch is not None]
    last = max(switched, default=None)
    due = [when_s for each in regulators if (when_s := _next_switch_s(each, now_s)) is not None]
    of_jobs = engine.jobs.cameras
    cameras = [each for each in engine.cameras.by_name.values() if not each.removed and each.spec.name not in of_jobs]
    sinks = [_sink(sink, now_s) for sink in engine.sinks.by_name.values() if sink.spec.ledger is None]
    return Status(
        daemon=DaemonStatus(
            version=version,
            pid=pid,
            uptime_s=round(now_s - engine.began_s, 1),
            state="down" if down else "degraded" if reasons else "ok",
            reasons=reasons,
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
            shedding=_shedding(engine),
            ring=[list(cluster) for each in regulators for cluster in each.clusters(now_s)],
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
        sink=sinks[0] if sinks else None,
        graphs=[str(graph.name) for graph in engine.settings.graphs],
        pools=[_pool(each, now_s) for each in regulators],
        sinks=sinks,
        jobs=engine.jobs.status(now_s),
        load=LoadStatus(
            asked_fps=_rounded(engine.load.asked),
            capacity_fps=_rounded(engine.load.capacity),
            overloaded=engine.load.overloaded,
            limited_by=engine.load.limited_by,
            retry_after_s=engine.load.retry_after_s(now_s),
            said=engine.load.said,
        ),
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


def _shedding(engine: Engine) -> bool:
    """Load is shed: every usable stick of every pool is too hot."""
    regulators = engine.workers.regulators.values()
    return any(each.shedding for each in regulators) and not any(each.active for each in regulators)


def _throttled_s(engine: Engine, stick: Stick) -> float:
    return stick.throttled_s / engine.sticks.time_scale(stick)


def ready(engine: Engine, now_s: float) -> str | None:
    """None when a result is younger than READY_S, or no work is open; else the reason for not being ready."""
    if engine.stopping:
        return "stopping"
    if not any(stick.usable for stick in engine.sticks.by_id.values()):
        return "no usable stick" if engine.sticks.by_id else "no sticks"
    if _shedding(engine):
        return "every stick is too hot"
    if (reason := engine.workers.health.failing(now_s)) is not None:
        return reason
    # work counts from when it arrived, not from the last result before a pause
    proof_s = max(engine.workers.health.last_good_s or 0.0, engine.idle_s)
    return "no result in the last 5 s" if engine.tally.open and now_s - proof_s > READY_S else None


def _reasons(engine: Engine, now_s: float) -> tuple[list[str], bool]:
    """The reasons for the state "degraded" or "down", for the operator; and whether it is "down"."""
    reasons = []
    for stick in engine.sticks.by_id.values():
        if not stick.renamed and not stick.removed and (reason := _stick_reason(engine, stick, now_s)) is not None:
            reasons.append(reason)
    for regulator in engine.workers.regulators.values():
        wanted, size = regulator.spec.cluster_size, regulator.cluster_size
        if size < wanted and regulator.present:
            present = "1 stick" if regulator.present == 1 else f"{regulator.present} sticks"
            reasons.append(f"cluster size is {size} instead of {wanted}: {present} present")
    of_jobs = engine.jobs.cameras
    for camera in [each for name, each in engine.cameras.by_name.items() if name not in of_jobs]:
        if not camera.signal and not camera.ended and not camera.removed:
            reasons.append(f"{camera.spec.name} has no signal: {camera.detail or camera.child.last_error or 'starting'}")
        elif not camera.ended and not camera.removed and (why := complaint(camera.child, now_s)) is not None:
            reasons.append(f"camera {camera.spec.name}: {why}")
    if _shedding(engine):
        reasons.append("every stick is too hot: no frame is processed")
    failing = engine.workers.health.failing(now_s)
    if failing is not None:
        reasons.append(failing)
    if not engine.sticks.by_id:
        ignored = [f"port {port} {why}" for port, why in engine.sticks.ignored.items()]
        reasons.append("; ".join(["no stick is plugged in", *ignored]) if engine.settings.discoveries else "no sticks")
    for sink in engine.sinks.by_name.values():
        if (why := sink.detail(now_s)) is not None:
            reasons.append(f"results cannot be written: {f'{sink.spec.shown} {why}' if why.startswith('is ') else why}")
    if engine.gateway is not None and (why := complaint(engine.gateway.child, now_s)) is not None:
        reasons.append(f"the page does not answer: {why.removeprefix('is ')}")
    down = _shedding(engine) or failing is not None or not any(stick.usable for stick in engine.sticks.by_id.values())
    if down and not reasons:
        reasons.append("no stick is ready yet")
    return reasons, down


def _stick_reason(engine: Engine, stick: Stick, now_s: float) -> str | None:
    state, why = _stick_state(engine, stick), complaint(stick.child, now_s)
    if state in ("absent", "backoff", "quarantined"):
        return f"{stick.label} is {state}" + (f": {stick.child.last_error}" if stick.child.last_error else "")
    if why is None and stick.child.running:
        slow = engine.workers.slowdowns.complaint(stick.spec.id)
        return None if slow is None else f"{stick.label} {slow}"
    if why is None:
        return None
    if stick.child.running:
        return f"{stick.label}: {why}"
    what = "being reopened" if state == "starting" and stick.child.last_error else state
    does = why.removeprefix("is ")
    return f"{stick.label} is {what}" + ("" if does in (state, "opening") else f": {does}")


def _stick_state(engine: Engine, stick: Stick) -> str:
    child, queue = stick.child, engine.dispatcher.queues.get(stick.spec.id)
    if not stick.present:
        return "absent"
    if child.running:
        regulator = engine.workers.regulators.get(stick.spec.pool)
        if regulator is not None and stick.spec.id in regulator.active:
            return "active"
        if queue is not None and queue.in_flight:
            return "draining"
        return "resting" if regulator is not None and regulator.resting(stick.spec.id) else "standby"
    if child.quarantined:
        return "quarantined"
    if child.state in (State.STARTING, State.OPENING):
        return "starting"
    return "draining" if child.state is State.STOPPING else "backoff"


def _stick(engine: Engine, stick: Stick, now_s: float) -> StickStatus:
    scale = engine.sticks.time_scale(stick)
    attached = engine.dispatcher.queues.get(stick.spec.id)
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
        state=_stick_state(engine, stick),
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

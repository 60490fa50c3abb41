"""Draws the status picture from the rooms. Reads only; what it says is a contract, see docs/status.md."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from ncs_cluster.core.camera import Camera
from ncs_cluster.core.child import State
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.stick_queue import StickQueue
from ncs_cluster.core.sticks import Stick
from ncs_cluster.status import (
    CameraStatus,
    ClusterStatus,
    CountersStatus,
    DaemonStatus,
    LastSwitch,
    MachineStatus,
    ProcessStatus,
    SinkStatus,
    Status,
    StickStatus,
)

READY_S = 5.0
"""A result younger than this proves that the pool works."""


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
    """Everything as of now. `now_at` is unix time; `usage` maps a process id to (CPU percent of a core, memory in MB)."""
    spec = engine.settings.clusters
    sticks = [_stick(engine, stick, now_s) for stick in engine.sticks.by_id.values() if not stick.renamed]
    reasons, down = _reasons(engine, now_s)
    last = engine.sticks.last_switch
    timed = engine.sticks.active and spec.policy == "ring" and spec.switch_interval_s > 0 and not engine.sticks.no_alternative
    next_s = engine.sticks.next_s if timed else None
    return Status(
        daemon=DaemonStatus(
            version=version,
            pid=pid,
            uptime_s=round(now_s - engine.began_s, 1),
            state="down" if down else "degraded" if reasons else "ok",
            reasons=reasons,
            ready=ready(engine, now_s) is None,
            alive=True,
            policy=spec.policy,
            cluster_size=engine.sticks.cluster_size,
            switch_temp_c=spec.switch_temp_c,
            switch_interval_s=spec.switch_interval_s,
            time_scale=spec.time_scale,
            simulated=engine.settings.simulated,
        ),
        clusters=ClusterStatus(
            active=list(engine.sticks.active),
            next_switch_s=None if next_s is None else round(max(0.0, next_s - now_s), 2),
            switches=engine.sticks.switches,
            last_switch=None if last is None else LastSwitch(round(now_at - (now_s - last[0]), 3), last[1]),
            shedding=engine.sticks.shedding,
            ring=[list(cluster) for cluster in engine.sticks.clusters(now_s)],
        ),
        sticks=sticks,
        cameras=[_camera(engine, camera, now_s) for camera in engine.cameras.by_name.values()],
        counters=CountersStatus(
            frames_lost=engine.ledger.lost,
            frames_doubled=engine.ledger.doubled,
            out_of_order=engine.ledger.out_of_order,
            throttled_s=round(sum(stick.throttled_s for stick in engine.sticks.by_id.values()) / spec.time_scale, 1),
        ),
        machine=machine,
        processes=[_process("supervisor", pid, "running", 0, usage)]
        + [_process(str(child.endpoint), child.pid, child.state.value, child.restarts, usage) for child in engine.children()],
        sink=_sink(engine),
        graphs=[str(graph.name) for graph in engine.settings.graphs],
    )


def ready(engine: Engine, now_s: float) -> str | None:
    """None when the pool has just proved itself, or has nothing to do; else why not."""
    if engine.shutdown is not None:
        return "stopping"
    if not any(stick.usable for stick in engine.sticks.by_id.values()):
        return "no stick is at work" if engine.sticks.by_id else "no sticks"
    if engine.sticks.shedding:
        return "every stick is too hot"
    if (why := engine.inferences.failing(now_s)) is not None:
        return why
    # work that has only just come is no reason to worry
    proof_s = max(engine.inferences.last_good_s or 0.0, engine.idle_s)
    return "no result in the last 5 s" if engine.ledger.open and now_s - proof_s > READY_S else None


def _reasons(engine: Engine, now_s: float) -> tuple[list[str], bool]:
    """What is not as it should be, for people; and whether nothing works at all."""
    reasons = []
    for stick in engine.sticks.by_id.values():
        state = _stick_state(engine, stick)
        if not stick.renamed and state in ("absent", "backoff", "quarantined"):
            reasons.append(f"{stick.spec.id} is {state}" + (f": {stick.child.last_error}" if stick.child.last_error else ""))
    wanted, size = engine.settings.clusters.cluster_size, engine.sticks.cluster_size
    if size < wanted and engine.sticks.present:
        there = "1 stick is" if engine.sticks.present == 1 else f"{engine.sticks.present} sticks are"
        reasons.append(f"cluster size is {size} instead of {wanted}: {there} there")
    for camera in engine.cameras.by_name.values():
        if not camera.signal and not camera.ended:
            reasons.append(f"{camera.spec.name} gives no pictures: {camera.detail or camera.child.last_error or 'starting'}")
    if engine.sticks.shedding:
        reasons.append("every stick is too hot: no frame is worked on")
    failing = engine.inferences.failing(now_s)
    if failing is not None:
        reasons.append(failing)
    if not engine.sticks.by_id:
        reasons.append("no stick is plugged in" if engine.settings.discovery else "no sticks")
    if engine.sink is not None and engine.sink.blocked:
        reasons.append(f"results cannot be written: {engine.sink.blocked}")
    down = engine.sticks.shedding or failing is not None or not any(stick.usable for stick in engine.sticks.by_id.values())
    if down and not reasons:
        reasons.append("no stick is ready yet")
    return reasons, down


def _stick_state(engine: Engine, stick: Stick) -> str:
    child, queue = stick.child, engine.dispatcher.queues.get(stick.spec.id)
    if not stick.present:
        return "absent"
    if child.running:
        if stick.spec.id in engine.sticks.active:
            return "active"
        if queue is not None and queue.in_flight:
            return "draining"
        return "resting" if engine.sticks.resting(stick.spec.id) else "standby"
    if child.quarantined:
        return "quarantined"
    if child.state in (State.STARTING, State.OPENING):
        return "starting"
    return "draining" if child.state is State.STOPPING else "backoff"


def _stick(engine: Engine, stick: Stick, now_s: float) -> StickStatus:
    scale = engine.settings.clusters.time_scale
    queue = engine.dispatcher.queues.get(stick.spec.id) or StickQueue(stick.spec.id, 1)
    running = stick.child.running
    temperature_c = stick.zone.temperature_c(now_s * scale) if running else None
    age_s = stick.zone.age_s(now_s * scale) if running else None
    headroom_s = stick.zone.headroom_s(now_s * scale) if running else None
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
        last_error=stick.child.last_error,
        pid=stick.child.pid,
        throttled_s=round(stick.throttled_s / scale, 1),
        firmware=stick.firmware,
        resets=stick.resets,
    )


def _camera(engine: Engine, camera: Camera, now_s: float) -> CameraStatus:
    count = engine.ledger.count(camera.spec.name)
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
        detection_fps=round(camera.detection.per_s(now_s), 1),
        frames=camera.frames,
        results=count.result,
        dropped=count.dropped,
        late=count.late,
        given_up=count.given_up,
        latency_ms=camera.latency.status(),
        picture_ms=camera.drawing.status(),
        distance_error=round(statistics.median(camera.range_errors), 4) if camera.range_errors else None,
    )


def _process(name: str, pid: int | None, state: str, restarts: int, usage: Mapping[int, tuple[float, float]]) -> ProcessStatus:
    cpu_percent, memory_mb = usage.get(pid or 0, (None, None))
    return ProcessStatus(name, pid, state, cpu_percent, memory_mb, restarts)


def _sink(engine: Engine) -> SinkStatus | None:
    sink = engine.sink
    if sink is None:
        return None
    state = "blocked" if sink.blocked else sink.child.state.value
    return SinkStatus(sink.spec.path, state, sink.outbox.written, sink.outbox.kept, sink.outbox.lost, sink.blocked)

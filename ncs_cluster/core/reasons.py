"""What is wrong with the daemon, in words for the operator: why it is not ready, degraded or down. Read-only."""

from __future__ import annotations

from ncs_cluster.core.child import State
from ncs_cluster.core.child_health import complaint
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.regulator import why_none_works
from ncs_cluster.core.stick import Stick

READY_S = 5.0
"""A younger result shows that the sticks work."""
IDLE = {"fleet": "other hosts are not told of this one", "chunks": "no chunks of jobs are taken"}
"""What a sink without records does not do while it cannot work, by its kind."""


def ready(engine: Engine, now_s: float) -> str | None:
    """None when a result is younger than READY_S, or no work is open; else the reason for not being ready."""
    if engine.stopping:
        return "stopping"
    if not any(stick.usable for stick in engine.sticks.by_id.values()):
        return "no usable stick" if engine.sticks.by_id else "no sticks"
    if shedding(engine, now_s):
        return _why_none_works(engine)
    if (reason := engine.workers.health.failing(now_s)) is not None:
        return reason
    # work counts from when it arrived, not from the last result before a pause
    proof_s = max(engine.workers.health.last_good_s or 0.0, engine.idle_s)
    return "no result in the last 5 s" if engine.tally.open and now_s - proof_s > READY_S else None


def reasons(engine: Engine, now_s: float) -> tuple[list[str], bool]:
    """The reasons for the state "degraded" or "down", for the operator; and whether it is "down"."""
    said = []
    if engine.fallback is not None and (reason := engine.fallback.reason(now_s)) is not None:
        said.append(reason)
    for stick in engine.sticks.by_id.values():
        if not stick.renamed and not stick.removed and (reason := _stick_reason(engine, stick, now_s)) is not None:
            said.append(reason)
    if (reason := engine.rollout.complaint) is not None:
        said.append(reason)
    for regulator in engine.workers.regulators.values():
        wanted, size = regulator.spec.cluster_size, regulator.cluster_size
        if size < wanted and regulator.present:
            said.append(f"cluster size is {size} instead of {wanted}: {regulator.said_present}")
    of_jobs = engine.jobs.cameras
    for camera in [each for name, each in engine.cameras.by_name.items() if name not in of_jobs]:
        if not camera.signal and not camera.ended and not camera.removed:
            said.append(f"{camera.spec.name} has no signal: {camera.detail or camera.child.last_error or 'starting'}")
        elif not camera.ended and not camera.removed and (why := complaint(camera.child, now_s)) is not None:
            said.append(f"camera {camera.spec.name}: {why}")
    if _all_rest(engine):
        alone = engine.workers.overflow is None
        nobody = "no frame is processed" if alone else "no frame is processed, neighbours answer none"
        said.append(f"{_why_none_works(engine)}: {nobody if shedding(engine, now_s) else 'only neighbours process frames'}")
    failing = engine.workers.health.failing(now_s)
    if failing is not None:
        said.append(failing)
    ignored = [f"port {port} {why}" for port, why in engine.sticks.ignored.items()]
    if engine.fallback is not None and not engine.fallback.others:
        said += ignored
    if not engine.sticks.by_id:
        said.append("; ".join(["no stick is plugged in", *ignored]) if engine.settings.discoveries else "no sticks")
    for sink in engine.sinks.by_name.values():
        if (why := sink.detail(now_s)) is not None:
            without = IDLE.get(sink.spec.kind, "notifications cannot be sent")
            what = "results cannot be written" if sink.spec.records else without
            said.append(f"{what}: {f'{sink.spec.shown} {why}' if why.startswith('is ') else why}")
    for process in engine.intake_processes.values():
        if (why := complaint(process.child, now_s)) is not None:
            said.append(f"{process.spec.name} is not served: {why.removeprefix('is ')}")
    if engine.gateway is not None and (why := complaint(engine.gateway.child, now_s)) is not None:
        said.append(f"the page does not answer: {why.removeprefix('is ')}")
    down = shedding(engine, now_s) or failing is not None or not any(stick.usable for stick in engine.sticks.by_id.values())
    if down and not said:
        said.append("no stick is ready yet")
    return said, down


def _stick_reason(engine: Engine, stick: Stick, now_s: float) -> str | None:
    state, why = stick_state(engine, stick), complaint(stick.child, now_s)
    if state in ("absent", "backoff", "quarantined"):
        return f"{stick.label} is {state}" + (f": {stick.child.last_error}" if stick.child.last_error else "")
    if why is None and stick.parked is not None:
        return f"{stick.label} is parked: {stick.parked}"
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


def stick_state(engine: Engine, stick: Stick) -> str:
    child, queue = stick.child, engine.dispatcher.queue_of(stick.spec.id)
    if not stick.present:
        return "absent"
    if child.running:
        regulator = engine.workers.regulators.get(stick.spec.pool)
        if regulator is not None and stick.spec.id in regulator.active:
            return "active"
        if queue is not None and queue.in_flight:
            return "draining"
        if stick.parked is not None:
            return "parked"
        return "resting" if regulator is not None and regulator.resting(stick.spec.id) else "standby"
    if child.quarantined:
        return "quarantined"
    if child.state is State.DOWN and not child.wanted:
        # of a fallback, which is started when it is needed
        return "standby"
    if child.state in (State.STARTING, State.OPENING):
        return "starting"
    return "draining" if child.state is State.STOPPING else "backoff"


def shedding(engine: Engine, now_s: float) -> bool:
    """Load is shed: every usable stick of every pool is too hot, or reports no temperature, and no neighbour answers."""
    overflow = engine.workers.overflow
    return _all_rest(engine) and (overflow is None or not overflow.answering(now_s))


def _all_rest(engine: Engine) -> bool:
    """Every usable stick of this host is too hot, or reports no temperature."""
    overflow = engine.workers.overflow
    own = [each for each in engine.workers.regulators.values() if overflow is None or each is not overflow.regulator]
    return any(each.shedding for each in own) and not any(each.active for each in own)


def _why_none_works(engine: Engine) -> str:
    rested = [each.rested for each in engine.workers.regulators.values()]
    return why_none_works(sum(hot for hot, _ in rested), sum(unread for _, unread in rested))

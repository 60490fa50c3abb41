"""The status document as Prometheus metrics, in base units. An unknown value is left out, never 0."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, SummaryMetricFamily

from ncs_cluster.status import (
    CameraStatus,
    FleetJobStatus,
    IntakeStatus,
    JobStatus,
    LatencyStatus,
    PoolStatus,
    ShadowStatus,
    SinkStatus,
    Status,
    StickStatus,
)
from ncs_cluster.types import IntakeClient

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STICK_STATES = ("starting", "active", "standby", "draining", "resting", "parked", "backoff", "quarantined", "absent")
CAMERA_STATES = ("starting", "running", "no-signal", "backoff", "ended")
JOB_STATES = ("running", "paused", "done", "failed", "cancelled")
DAEMON_STATES = ("ok", "degraded", "down")
DRAINS = ("no", "draining", "drained")
LIMITS = ("cluster size", "heat", "speed")
_MEGA = 1e6

Rows = Sequence[tuple[tuple[str, ...], float | None]]
States = Sequence[tuple[tuple[str, ...], str]]
Latencies = Sequence[tuple[tuple[str, ...], LatencyStatus]]
Value = TypeVar("Value")


def text(status: Status | None) -> bytes:
    """`/metrics`. Without a status it says only that the daemon does not answer."""
    registry = CollectorRegistry()
    registry.register(_Collector(status))
    return bytes(generate_latest(registry))


class _Collector:
    def __init__(self, status: Status | None) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        yield _gauge("up", "1 when the daemon answers the gateway.", [((), self._status is not None)])
        if self._status is not None:
            yield from _daemon(self._status)
            yield from _sticks(self._status.sticks)
            yield from _shadows(self._status.pools)
            yield from _cameras(self._status.cameras)
            yield from _sinks(self._status.sinks)
            yield from _jobs(self._status.jobs)
            yield from _fleet(self._status)
            yield from _intakes(self._status.intakes)
            yield from _machine(self._status)


def _daemon(status: Status) -> Iterator[Metric]:
    daemon, clusters, counters = status.daemon, status.clusters, status.counters
    yield InfoMetricFamily("ncs_cluster_build", "Version.", {"version": daemon.version, "policy": daemon.policy})
    # a metric of its own, to be joined with others by `instance`: a label of each metric is Prometheus' to add
    yield InfoMetricFamily("ncs_cluster_host", "What this machine is called among others.", {"host": _host(status)})
    yield _gauge("uptime_seconds", "Since the daemon started.", [((), daemon.uptime_s)])
    yield _states("state", "The daemon's state: 1 for the one it is in.", DAEMON_STATES, [((), daemon.state)])
    yield _gauge("ready", "1 when an inference succeeded in the last 5 s, or none is wanted.", [((), daemon.ready)])
    yield _gauge("switch_temperature_celsius", "A stick at or above this temperature gets no frame.", [((), daemon.switch_temp_c)])
    yield _gauge(
        "shedding",
        "1 when every stick is too hot, or reports no temperature, and no frame is processed.",
        [((), clusters.shedding)],
    )
    serving = status.fallback is not None and status.fallback.serving
    yield _gauge("fallback_serving", "1 while the fallback works because no stick can.", [((), serving)])
    if fallback := status.fallback:
        yield _gauge("fallback_ready", "1 when the fallback can take over at once.", [((), fallback.ready)])
        yield _counter("fallback_takeovers", "How often the fallback has taken over.", [((), fallback.takeovers)])
        yield _counter("fallback_served_seconds", "Time for which the fallback has worked.", [((), fallback.served_s)])
    if overflow := status.overflow:
        yield _gauge("overflow_serving", "1 while neighbours get frames that the sticks cannot take.", [((), overflow.serving)])
        yield _counter("overflow_frames_sent", "Requests to neighbours.", [((), overflow.sent)])
        ends = {"answered": overflow.answered, "late": overflow.late, "refused": overflow.refused, "held_back": overflow.held_back}
        yield _counter(
            "overflow_frames", "Frames for neighbours, by how they ended.", [((how,), n) for how, n in ends.items()], ("end",)
        )
        yield _counter("overflow_bytes", "Of the pictures that were sent to neighbours.", [((), overflow.bytes)])
    if load := status.load:
        yield _gauge("asked_inferences_per_second", "What the live cameras ask for.", [((), load.asked_fps)])
        yield _gauge("capacity_inferences_per_second", "What the sticks can sustain.", [((), load.capacity_fps)])
        yield _gauge("overloaded", "1 when the live cameras get less than they ask for.", [((), load.overloaded)])
        if limit := load.limited_by:
            yield _states("limited_by", "What keeps the sticks from more: 1 for it.", LIMITS, [((), limit)], label="limit")
    yield _counter("switches", "Switches from one cluster to another.", [((), clusters.switches)])
    yield _counter(
        "frames_lost",
        "Units (frame, graph) that never ended. Must stay 0.",
        [((), counters.frames_lost)],
    )
    yield _counter("frames_doubled", "Units (frame, graph) that ended twice. Must stay 0.", [((), counters.frames_doubled)])
    yield _counter("frames_out_of_order", "Results published out of order. Must stay 0.", [((), counters.out_of_order)])


def _host(status: Status) -> str:
    """Its name in the fleet; without one that of the machine, as [nats] node would have it."""
    if status.fleet is not None:
        return status.fleet.node
    return socket.gethostname().partition(".")[0]


def _sinks(sinks: list[SinkStatus]) -> Iterator[Metric]:
    # while settings change, a sink that closes and its successor may write to the same place
    by_path = {sink.path: sink for sink in sinks}

    def each(field: Callable[[SinkStatus], Value]) -> list[tuple[tuple[str, ...], Value]]:
        return [((path,), field(sink)) for path, sink in by_path.items()]

    label = ("sink",)
    yield _gauge("sink_blocked", "1 when the sink writes nothing at present.", each(lambda s: s.detail is not None), label)
    yield _counter("sink_records", "Results written.", each(lambda s: s.written), label)
    yield _counter("sink_records_lost", "Results that could not be written.", each(lambda s: s.lost), label)
    yield _gauge("sink_waiting_records", "Results not yet written.", each(lambda s: s.waiting), label)


def _jobs(jobs: list[JobStatus]) -> Iterator[Metric]:
    # a chunk of a job over hosts lives for seconds: series of its own would be many
    own = [job for job in jobs if job.chunk_of is None]

    def each(field: Callable[[JobStatus], Value]) -> list[tuple[tuple[str, ...], Value]]:
        return [((job.id,), field(job)) for job in own]

    label = ("job",)
    yield _states("job_state", "A job's state: 1 for the one it is in.", JOB_STATES, each(lambda job: job.state), label)
    yield _gauge(
        "job_frames_done", "Frames of the job whose results are written or on their way.", each(lambda job: job.done), label
    )
    yield _gauge("job_frames_expected", "Frames of the job, as far as they are known.", each(lambda job: job.expected), label)
    yield _gauge("job_frames_failed", "Frames of the job without a result.", each(lambda job: job.failed), label)


def _fleet(status: Status) -> Iterator[Metric]:
    if (fleet := status.fleet) is None:
        return
    if fleet.drain is not None:
        yield _states("fleet_drain", "Whether the host takes work of the fleet: 1 for it.", DRAINS, [((), fleet.drain)])
    yield _gauge("fleet_chunks", "Chunks of jobs over hosts in hand.", [((), fleet.chunks)])

    def each(field: Callable[[FleetJobStatus], Value]) -> list[tuple[tuple[str, ...], Value]]:
        return [((job.id, job.name), field(job)) for job in fleet.jobs]

    label = ("job", "name")
    yield _counter("fleet_job_chunks", "Chunks of the job over hosts that this host has done.", each(lambda job: job.chunks), label)
    yield _gauge("fleet_job_frames", "Frames of the job over hosts that this host has done.", each(lambda job: job.done), label)


def _intakes(intakes: list[IntakeStatus]) -> Iterator[Metric]:
    def each(field: Callable[[IntakeStatus], Value]) -> list[tuple[tuple[str, ...], Value]]:
        return [((intake.name,), field(intake)) for intake in intakes]

    label = ("intake",)
    yield _gauge("intake_open_pictures", "Pictures of other programs that wait for an answer.", each(lambda i: i.open), label)
    yield _counter("intake_answers", "Pictures of other programs with an answer.", each(lambda i: i.answered), label)
    yield _counter("intake_failures", "Pictures that no stick could answer.", each(lambda i: i.failed), label)
    yield _counter("intake_withdrawals", "Pictures that nobody waited for any more.", each(lambda i: i.withdrawn), label)
    yield _latency("intake_latency_seconds", "Latest answers, from the picture.", each(lambda i: i.latency_ms), "intake")
    clients = {(intake.name, client.name): client for intake in intakes for client in intake.clients}

    def of(field: Callable[[IntakeClient], Value]) -> list[tuple[tuple[str, ...], Value]]:
        return [(key, field(client)) for key, client in clients.items()]

    both = ("intake", "client")
    yield _counter("client_pictures", "Pictures that a program has sent.", of(lambda c: c.asked), both)
    yield _counter("client_answers", "Those of them with an answer.", of(lambda c: c.answered), both)
    yield _counter("client_shed", "Those of them that were refused at once: no stick could take them.", of(lambda c: c.shed), both)
    yield _counter("client_late", "Those of them whose answer was not there in time.", of(lambda c: c.late), both)
    yield _counter("client_handshakes", "How often a program has connected.", of(lambda c: c.handshakes), both)


def _sticks(sticks: list[StickStatus]) -> Iterator[Metric]:
    def each(field: Callable[[StickStatus], Value]) -> list[tuple[tuple[str, ...], Value]]:
        return [((stick.id,), field(stick)) for stick in sticks]

    label = ("stick",)
    yield _about(sticks)
    yield _states("stick_state", "A stick's state: 1 for the one it is in.", STICK_STATES, each(lambda s: s.state), label)
    yield _gauge("stick_temperature_celsius", "Temperature by the stick's own sensor.", each(lambda s: s.temperature_c), label)
    yield _gauge("stick_temperature_age_seconds", "Since the temperature was read.", each(lambda s: s.temperature_age_s), label)
    yield _gauge(
        "stick_headroom_seconds",
        "Time until the switch temperature at the present work.",
        each(lambda s: s.headroom_s),
        label,
    )
    yield _gauge("stick_headroom_celsius", "How far the die is under the switch temperature.", each(lambda s: s.headroom_c), label)
    yield _gauge(
        "stick_sustainable_inferences_per_second",
        "Inferences per second that the stick could keep up under the switch temperature.",
        each(lambda s: s.sustainable_fps),
        label,
    )
    yield _gauge("stick_inferences_per_second", "Inferences per second.", each(lambda s: s.fps), label)
    yield _gauge("stick_in_flight_inferences", "Inferences in flight.", each(lambda s: s.in_flight), label)
    yield _gauge("stick_slowdown_ratio", "Present inference time over the usual one.", each(lambda s: s.slowdown), label)
    yield _gauge("stick_duty_ratio", "Share of the time the stick may work.", each(lambda s: s.duty), label)
    yield _gauge("stick_limit_celsius", "From this temperature on the stick gets no frame.", each(lambda s: s.limit_c), label)
    yield _counter("stick_inferences", "Finished inferences.", each(lambda s: s.inferences), label)
    yield _counter("stick_restarts", "Restarts of a stick's process.", each(lambda s: s.restarts), label)
    yield _counter("stick_resets", "Resets of a hung stick without a restart of its process.", each(lambda s: s.resets), label)
    yield _gauge(
        "stick_throttle_level",
        "Throttling by the stick's firmware, 0 to 2.",
        each(lambda s: s.throttle_level),
        label,
    )
    yield _counter(
        "stick_throttled_seconds",
        "Time a stick has spent throttled by its own firmware.",
        each(lambda s: s.throttled_s),
        label,
    )
    yield _latency(
        "stick_latency_seconds",
        "Latest results, from hand-over to the stick to its answer.",
        each(lambda s: s.latency_ms),
        "stick",
    )


def _about(sticks: list[StickStatus]) -> Metric:
    family = InfoMetricFamily("ncs_cluster_stick", "What a stick is: join with it by the label stick.", labels=("stick",))
    for stick in sticks:
        known = {"name": stick.name, "port": stick.port, "pool": stick.pool, "backend": stick.backend, "device": stick.device}
        family.add_metric((stick.id,), {key: value or "" for key, value in known.items()})
    return family


def _shadows(pools: list[PoolStatus]) -> Iterator[Metric]:
    def each(field: Callable[[ShadowStatus], Value]) -> list[tuple[tuple[str, ...], Value]]:
        return [((pool.name,), field(pool.shadow)) for pool in pools if pool.shadow is not None]

    label = ("pool",)
    yield _gauge(
        "shadow_sustainable_inferences_per_second",
        "Inferences per second that the policy predictive would sustain with this cluster size.",
        each(lambda s: s.sustainable_fps),
        label,
    )
    yield _gauge(
        "shadow_unlimited_inferences_per_second",
        "Inferences per second that the policy predictive would sustain without a cluster size.",
        each(lambda s: s.unlimited_fps),
        label,
    )
    yield _gauge(
        "allowed_inferences_per_second",
        "Inferences per second that the active policy has let the sticks do, mean of five minutes.",
        each(lambda s: s.allowed_fps),
        label,
    )


def _cameras(cameras: list[CameraStatus]) -> Iterator[Metric]:
    def each(field: Callable[[CameraStatus], Value]) -> list[tuple[tuple[str, ...], Value]]:
        return [((camera.name,), field(camera)) for camera in cameras]

    label = ("camera",)
    yield _states("camera_state", "A camera's state: 1 for the one it is in.", CAMERA_STATES, each(lambda c: c.state), label)
    yield _gauge("camera_captured_frames_per_second", "Frames captured.", each(lambda c: c.capture_fps), label)
    yield _gauge("camera_drawn_frames_per_second", "Pictures drawn.", each(lambda c: c.preview_fps), label)
    yield _gauge("camera_detected_frames_per_second", "Frames with a result.", each(lambda c: c.detection_fps), label)
    yield _counter("frames", "Frames captured.", each(lambda c: c.frames), label)
    yield _counter("results", "Units (frame, graph) with a result.", each(lambda c: c.results), label)
    yield _counter("frames_dropped", "Units (frame, graph) dropped for a newer frame.", each(lambda c: c.dropped), label)
    yield _counter("frames_late", "Results that came after a newer one and were not published.", each(lambda c: c.late), label)
    yield _counter(
        "frames_given_up",
        "Units (frame, graph) that failed on three sticks or could not be read.",
        each(lambda c: c.given_up),
        label,
    )
    yield _latency("camera_latency_seconds", "Latest results, from capture.", each(lambda c: c.latency_ms), "camera")
    yield _latency("camera_picture_latency_seconds", "Latest pictures, from capture.", each(lambda c: c.picture_ms), "camera")
    yield _gauge(
        "camera_distance_error_ratio",
        "Synthetic scenes: median error of measured distances.",
        each(lambda c: c.distance_error),
        label,
    )


def _machine(status: Status) -> Iterator[Metric]:
    if machine := status.machine:
        yield _gauge("machine_load1", "Load average over one minute.", [((), machine.load_1m)])
        yield _gauge("machine_cpu_ratio", "CPU used, of all cores together.", [((), machine.cpu_percent / 100)])
        yield _gauge("machine_memory_used_bytes", "Memory used.", [((), machine.memory_used_mb * _MEGA)])
        yield _gauge("machine_memory_bytes", "Memory of the machine.", [((), machine.memory_total_mb * _MEGA)])
        yield _gauge("machine_temperature_celsius", "Temperature of the machine.", [((), machine.temperature_c)])
        yield _gauge("ambient_celsius", "Temperature of the air, by the sensor of [ambient].", [((), machine.ambient_c)])
        yield _gauge("fan_duty_ratio", "Speed that the fan of [fan] is set to.", [((), machine.fan_duty)])
    processes, label = status.processes, ("process",)
    cpu = [((it.name,), None if it.cpu_percent is None else it.cpu_percent / 100) for it in processes]
    memory = [((it.name,), None if it.memory_mb is None else it.memory_mb * _MEGA) for it in processes]
    yield _gauge("process_cpu_ratio", "CPU used, of one core.", cpu, label)
    yield _gauge("process_memory_bytes", "Memory used.", memory, label)
    yield _counter("process_restarts", "Restarts of a process.", [((it.name,), it.restarts) for it in processes], label)


def _gauge(name: str, text: str, rows: Rows, labels: tuple[str, ...] = ()) -> Metric:
    return _fill(GaugeMetricFamily("ncs_cluster_" + name, text, labels=labels), rows)


def _counter(name: str, text: str, rows: Rows, labels: tuple[str, ...] = ()) -> Metric:
    return _fill(CounterMetricFamily("ncs_cluster_" + name, text, labels=labels), rows)


def _fill(family: GaugeMetricFamily | CounterMetricFamily, rows: Rows) -> Metric:
    for key, value in rows:
        if value is not None:
            family.add_metric(key, float(value))
    return family


def _states(
    name: str, text: str, states: tuple[str, ...], rows: States, labels: tuple[str, ...] = (), label: str = "state"
) -> Metric:
    """One series for each of `states`, told apart by `label`."""
    family = GaugeMetricFamily("ncs_cluster_" + name, text, labels=(*labels, label))
    for key, value in rows:
        for state in states:
            family.add_metric((*key, state), float(value == state))
    return family


def _latency(name: str, text: str, rows: Latencies, label: str) -> Metric:
    """A summary of the last results, without sum and count: promtool takes the label `quantile` on no other type."""
    family = SummaryMetricFamily("ncs_cluster_" + name, text, labels=(label,))
    for (key,), value in rows:
        for quantile, latency_ms in (("0.5", value.p50), ("0.99", value.p99)):
            if latency_ms is not None:
                family.add_sample(family.name, {label: key, "quantile": quantile}, latency_ms / 1000)
    return family

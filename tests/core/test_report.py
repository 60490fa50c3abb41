"""The status picture drawn from an engine in a given state: every field by its exact value."""

from __future__ import annotations

import msgspec

from ncs_cluster import messages as m
from ncs_cluster import status as s
from ncs_cluster.core import report
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, Endpoint, StickListed
from ncs_cluster.core.rates import Rate
from ncs_cluster.core.work import Count
from ncs_cluster.policies.outlook import seconds_until
from ncs_cluster.status import LatencyStatus
from ncs_cluster.testing.world import installation
from ncs_cluster.types import Outcome, Record, StickId
from tests.core.oneengine import NOTHING, NOW_AT, a_unit, at_work, camera_up, drawn, regulator, started, stick_up


def rate(*times_s: float) -> Rate:
    made = Rate()
    for when_s in times_s:
        made.count(when_s)
    return made


# -- the whole picture


def test_the_picture_of_a_daemon_that_has_just_started() -> None:
    assert drawn(started(installation(1)), 1000.0) == s.Status(
        daemon=s.DaemonStatus(
            version="1.2.3",
            pid=7,
            uptime_s=0.0,
            state="down",
            reasons=["cam0 has no signal: starting"],
            ready=False,
            alive=True,
            policy="all",
            cluster_size=0,
            switch_temp_c=65.0,
            switch_interval_s=10.0,
            time_scale=1.0,
            simulated=True,
        ),
        clusters=s.ClusterStatus(active=[], next_switch_s=None, switches=0, last_switch=None, shedding=False, ring=[["sim-1"]]),
        sticks=[
            s.StickStatus(
                id="sim-1",
                port="port 1",
                backend="simulated",
                device=None,
                state="starting",
                temperature_c=None,
                temperature_age_s=None,
                throttle_level=None,
                headroom_s=None,
                fps=0.0,
                latency_ms=NOTHING,
                in_flight=0,
                inferences=0,
                restarts=0,
                last_error=None,
                pid=None,
                throttled_s=0.0,
                firmware=None,
                resets=0,
            )
        ],
        cameras=[
            s.CameraStatus(
                name="cam0",
                source="synthetic",
                state="starting",
                detail=None,
                size=None,
                depth=False,
                capture_fps=0.0,
                preview_fps=0.0,
                detection_fps=0.0,
                frames=0,
                results=0,
                dropped=0,
                late=0,
                given_up=0,
                latency_ms=NOTHING,
                picture_ms=NOTHING,
                distance_error=None,
            )
        ],
        counters=s.CountersStatus(frames_lost=0, frames_doubled=0, out_of_order=0, throttled_s=0.0),
        machine=None,
        processes=[
            s.ProcessStatus("supervisor", 7, "running", None, None, 0),
            s.ProcessStatus("camera cam0", None, "starting", None, None, 0),
            s.ProcessStatus("worker sim-1", None, "starting", None, None, 0),
            s.ProcessStatus("sink", None, "starting", None, None, 0),
        ],
        sink=s.SinkStatus("results.jsonl", "starting", 0, 0, 0, None),
        graphs=["demo"],
        pools=[s.PoolStatus("default", "all", 0, 65.0, 10.0, [], None, 0, False)],
        sinks=[s.SinkStatus("results.jsonl", "starting", 0, 0, 0, None)],
        load=s.LoadStatus(None, None, overloaded=False, limited_by=None, retry_after_s=None),
    )


def test_a_stick_that_runs_is_drawn_with_its_heat_in_real_seconds_and_its_figures() -> None:
    """Time runs tenfold for all that is thermal: 203 s of headroom are 20 s here, and a reading has aged for 5 s after 0.5 s."""
    engine = started(installation(2, time_scale=10.0))
    stick_up(engine)
    engine.handle(Endpoint("worker", "sim-1"), m.Telemetry(41.04, 1), 1002.0)
    stick, queue = engine.sticks.by_id[StickId("sim-1")], engine.dispatcher.queues[StickId("sim-1")]
    stick.inferences, stick.resets, stick.child.restarts, stick.child.last_error = 5, 2, 3, "it hung"
    queue.done, queue.in_flight = rate(1000.2, 1000.5, 1000.8, 1001.1, 1001.4, 1001.7, 1002.0), {1: a_unit()}
    stick.throttled_s, stick.failed = 12.34, 4
    engine.handle(BUS, StickListed(StickId("sim-1"), "booted", 5000.0), 1002.0)
    queue.latency.add(0.0512)
    seen = drawn(engine, 1002.5234)
    assert seen.sticks[0] == s.StickStatus(
        id="sim-1",
        port="port 1",
        backend="simulated",
        device="virtual",
        state="active",
        temperature_c=43.9,
        temperature_age_s=0.52,
        throttle_level=1,
        headroom_s=20.3,
        fps=3.3,
        latency_ms=LatencyStatus(51.2, 51.2),
        max_in_flight=4,
        executors=1,
        duty=1.0,
        limit_c=65.0,
        in_flight=1,
        inferences=5,
        restarts=3,
        last_error="it hung",
        pid=11,
        throttled_s=1.2,
        firmware="fw",
        resets=2,
        headroom_c=25.0,
        usb_mbps=5000.0,
        boots=1,
        failed=4,
    )
    assert seen.counters.throttled_s == 1.2
    engine.sticks.by_id[StickId("sim-2")].throttled_s = 25.4
    assert drawn(engine).counters.throttled_s == 3.8


def test_a_stick_that_does_not_run_shows_no_heat_of_before() -> None:
    engine = at_work()
    engine.sticks.by_id[StickId("sim-1")].child.device_lost("it hangs", 1002.0)
    stick = drawn(engine).sticks[0]
    assert (stick.temperature_c, stick.temperature_age_s, stick.throttle_level, stick.headroom_s) == (None, None, None, None)
    assert (stick.headroom_c, stick.sustainable_fps, stick.remarks) == (None, None, [])


def test_what_predictive_would_do_is_drawn_of_each_pool_with_a_temperature_and_of_each_stick() -> None:
    """Time runs tenfold: 203 s to the limit by the model, of which three quarters are told, are 15 s here."""
    engine = started(installation(2, time_scale=10.0))
    assert drawn(engine).pools[0].shadow is None
    stick_up(engine)
    engine.handle(Endpoint("worker", "sim-1"), m.Telemetry(41.0, 0), 1002.0)
    shadow, name = engine.workers.regulators["default"].shadow, StickId("sim-1")
    die, figures = shadow._asked.dies[name], shadow.sticks[name]
    shadow.unlimited, shadow.with_size, shadow.allowed, shadow.said = 65.44, 40.0, 39.96, ["it could do more"]
    figures.sustainable, figures.rate, figures.worse, figures.work = 0.5, 20.46, 0.304, 1.0
    die.since_s -= 60.0
    seconds = seconds_until(die, 65.0, 1.0)
    assert seconds is not None
    seen = drawn(engine)
    assert seen.pools[0].shadow == s.ShadowStatus(True, 40.0, 65.4, 40.0, ["it could do more"])
    stick = seen.sticks[0]
    assert (stick.sustainable_fps, stick.remarks) == (10.2, ["cools 30 % worse than its peers"])
    assert (stick.headroom_c, stick.headroom_s) == (25.0, round(0.75 * seconds / 10, 1))


def test_a_camera_that_runs_is_drawn_with_its_figures() -> None:
    engine = started(installation(1))
    camera_up(engine, depth_scale_m=0.001)
    camera = engine.cameras.by_name["cam0"]
    camera.frames, camera.viewers, camera.capture_fps, camera.preview_fps = 9, 1, 29.9, 12.5
    assert camera.stream is not None
    camera.stream.detection, camera.range_errors = rate(1000.0, 1000.3, 1000.6, 1000.9, 1001.2, 1001.5, 1001.8), [0.9, 0.1, 0.23456]
    camera.stream.latency.add(0.1)
    camera.drawing.add(0.04)
    engine.tally.streams["cam0"] = Count(begun=17, result=6, dropped=5, late=3, given_up=2)
    assert drawn(engine).cameras == [
        s.CameraStatus(
            name="cam0",
            source="synthetic",
            state="running",
            detail=None,
            size=(640, 480),
            depth=True,
            capture_fps=29.9,
            preview_fps=12.5,
            detection_fps=3.3,
            frames=9,
            results=6,
            dropped=5,
            late=3,
            given_up=2,
            latency_ms=LatencyStatus(100.0, 100.0),
            picture_ms=LatencyStatus(40.0, 40.0),
            distance_error=0.2346,
        )
    ]
    engine.tally.doubled, engine.tally.out_of_order = 2, 3
    assert drawn(engine).counters == s.CountersStatus(frames_lost=1, frames_doubled=2, out_of_order=3, throttled_s=0.0)


def test_rates_of_what_does_not_happen_are_zero() -> None:
    engine = at_work()
    camera = engine.cameras.by_name["cam0"]
    camera.capture_fps, camera.preview_fps = 29.9, 12.5
    seen = drawn(engine).cameras[0]
    assert (seen.capture_fps, seen.preview_fps, seen.depth) == (29.9, 0.0, False)
    camera.signal, camera.viewers = False, 1
    seen = drawn(engine).cameras[0]
    assert (seen.capture_fps, seen.preview_fps) == (0.0, 12.5)


def test_the_rate_of_pictures_is_drawn_for_a_window_too() -> None:
    settings = installation(1)
    cameras = [msgspec.structs.replace(camera, window=True) for camera in settings.cameras]
    engine = at_work(msgspec.structs.replace(settings, cameras=cameras))
    engine.cameras.by_name["cam0"].preview_fps = 12.5
    assert drawn(engine).cameras[0].preview_fps == 12.5


def test_a_camera_of_files_is_drawn_as_ordered() -> None:
    settings = installation(1)
    cameras = [msgspec.structs.replace(camera, ordered=True) for camera in settings.cameras]
    assert drawn(at_work(msgspec.structs.replace(settings, cameras=cameras))).cameras[0].ordered is True


def test_processes_are_drawn_with_what_they_use() -> None:
    engine = started(installation(2, gateway=True))
    stick_up(engine)
    engine.sticks.by_id[StickId("sim-2")].child.restarts = 4
    assert drawn(engine, usage={7: (1.5, 20.0), 11: (50.0, 80.0), 1: (9.0, 9.0)}).processes == [
        s.ProcessStatus("supervisor", 7, "running", 1.5, 20.0, 0),
        s.ProcessStatus("camera cam0", None, "starting", None, None, 0),
        s.ProcessStatus("worker sim-1", 11, "running", 50.0, 80.0, 0),
        s.ProcessStatus("worker sim-2", None, "starting", None, None, 4),
        s.ProcessStatus("sink", None, "starting", None, None, 0),
        s.ProcessStatus("gateway", None, "starting", None, None, 0),
    ]


def test_a_machine_is_passed_on_and_unix_time_and_uptime_are_told() -> None:
    machine = s.MachineStatus(0.5, 12.0, 4, 1000.0, 4000.0, None)
    engine = started(installation(1, results=False))
    seen = report.status(engine, 1012.345, NOW_AT, version="2", pid=8, machine=machine, usage={})
    assert (seen.machine, seen.sink, seen.daemon.uptime_s, seen.daemon.version, seen.daemon.pid) == (machine, None, 12.3, "2", 8)


def test_the_sink_is_drawn_with_its_records() -> None:
    engine = started(installation(1))
    engine.sinks.by_name[""].outbox.written, engine.sinks.by_name[""].outbox.lost = 4, 5
    engine.sinks.by_name[""].outbox.put(Record("cam0", 0, 1.7e9, None, "sim-1", "demo", 0.1, Outcome()))
    assert drawn(engine, 1002.0).sink == s.SinkStatus("results.jsonl", "starting", 4, 1, 5, None)
    engine.sinks.by_name[""].blocked = "disk full"
    assert drawn(engine).sink == s.SinkStatus("results.jsonl", "blocked", 4, 1, 5, "disk full")


# -- clusters


def ring() -> Engine:
    engine = started(installation(4, cluster_size=2, interval_s=10.0))
    for number in range(1, 5):
        stick_up(engine, f"sim-{number}")
    return engine


def test_clusters_are_drawn_with_the_time_to_the_next_switch_and_the_last_one() -> None:
    engine = ring()
    pool = regulator(engine)
    pool.switches, pool.last_switch, pool.policy_deadline_s = 6, (998.1234, "switch interval is over"), 1009.456
    assert drawn(engine, 1002.0).clusters == s.ClusterStatus(
        active=["sim-1", "sim-2"],
        next_switch_s=7.46,
        switches=6,
        last_switch=s.LastSwitch(1699999996.123, "switch interval is over"),
        shedding=False,
        ring=[["sim-1", "sim-2"], ["sim-3", "sim-4"]],
    )
    assert drawn(engine, 1009.5).clusters.next_switch_s == 0.0
    assert drawn(engine).daemon.policy == "ring"
    assert drawn(engine).daemon.cluster_size == 2


def test_no_next_switch_is_drawn_where_none_is_due() -> None:
    quiet, no_alternative, free = ring(), ring(), ring()
    regulator(quiet).active = []
    regulator(no_alternative).no_alternative = True
    regulator(free).policy_deadline_s = None
    manual = started(installation(4, cluster_size=2, interval_s=0.0))
    all_of_them = started(installation(4))
    for engine in (manual, all_of_them):
        for number in range(1, 5):
            stick_up(engine, f"sim-{number}")
    for engine in (quiet, no_alternative, manual, all_of_them):
        regulator(engine).policy_deadline_s = 1009.0
    for engine in (quiet, no_alternative, free, manual, all_of_them):
        assert drawn(engine).clusters.next_switch_s is None
    brief = started(installation(4, cluster_size=2, interval_s=0.5))
    stick_up(brief)
    regulator(brief).policy_deadline_s = 1003.1
    assert drawn(brief).clusters.next_switch_s == 1.0

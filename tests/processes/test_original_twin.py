"""The original script's twin: the same sticks as the daemon's simulated ones, its trap, and when there is none."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from ncs_cluster.backends.simulated import Simulated
from ncs_cluster.core.engine import Engine
from ncs_cluster.processes.original_twin import CATCH_UP_S, MOST_STICKS, OriginalTwin, offered_per_s, twin_of
from ncs_cluster.specs import ClusterSpec, StickSpec
from ncs_cluster.testing.world import installation
from ncs_cluster.thermal import Heat, Plant
from ncs_cluster.types import StickId
from tests.core.oneengine import at_work, camera_up, started, stick_up

DEMO = {"latency_ms": 190.0, "initial_c": 40.0, "ambient_c": 22.0}


def sticks(count: int, **options: Any) -> list[StickSpec]:
    return [StickSpec(StickId(f"sim-{n}"), f"sim {n}", "simulated", options, simulated=True) for n in range(1, count + 1)]


def twin(count: int = 4, size: int = 2, *, scale: float = 20.0, interval_s: float = 40.0, **options: Any) -> OriginalTwin:
    return OriginalTwin(sticks(count, **{**DEMO, **options}), ClusterSpec(size, "ring", interval_s, 65.0, scale), 0.0)


def run(made: OriginalTwin, until_s: float, *, offered: float = 30.0, heat_wave: tuple[float, float] | None = None) -> None:
    for quarter in range(math.ceil(made._at_s * 4), int(until_s * 4) + 1):
        made.advance(quarter / 4, offered, heat_wave)


def test_a_heat_wave_makes_it_hot_for_good_at_the_temperature_at_which_its_sticks_throttle() -> None:
    """The demo of `make run`: it works in turns for a minute; 20 s of air that is 15 K warmer, and it never returns."""
    made = twin()
    run(made, 60.0)
    calm = made.status()
    assert (calm.latched, calm.throttled_s, calm.fps) == (False, 0.0, pytest.approx(2 / 0.19, rel=0.02))
    assert max(calm.temperatures_c) < 63.0
    run(made, 85.0, heat_wave=(60.0, 80.0))
    assert made.status().latched
    run(made, 600.0, heat_wave=(60.0, 80.0))
    after = made.status()
    assert after.latched
    assert all(66.0 <= celsius <= 70.5 for celsius in after.temperatures_c)
    assert after.throttled_s > 20.0
    assert after.switches > 1_000_000


def test_its_sticks_warm_as_the_simulated_backend_says() -> None:
    """One stick of two works all the time, beside the backend at work for the same time on the same clock."""
    clock = [0.0]
    backend = Simulated(20.0, lambda: clock[0])
    options = {**DEMO, "infer": False}
    backend.open(sticks(1, **options)[0], [], lambda _: None)
    made = twin(2, 1, interval_s=0.0)
    made.advance(0.0, math.inf, None)
    for tag in range(14):
        clock[0] = tag * 0.19
        backend.submit(tag, 0, None)
        clock[0] += 0.19
        backend.collect()
        backend.read_sensor()
    made.advance(clock[0], math.inf, None)
    made_c, rest_c = made.status().temperatures_c
    reading_c = backend.read_sensor().temperature_c
    assert reading_c is not None
    assert made_c == pytest.approx(reading_c, abs=0.5)
    assert made_c > 55.0
    assert rest_c == pytest.approx(Plant().step(Heat(40.0, 40.0), clock[0] * 20.0, 0.0, 22.0).die_c, abs=0.1)


def test_its_sticks_have_the_thermal_figures_of_the_daemons() -> None:
    """In balance, by the sum of the resistances; half of each stick's time is work."""
    figures = {"case_air_k_w": 4.0, "die_case_k_w": 6.0, "case_j_k": 10.0, "idle_w": 0.5, "work_w": 2.0}
    made = twin(plant=figures)
    run(made, 120.0)
    expected_c = 22.0 + (4.0 + 6.0) * (0.5 + 2.0 / 2)
    temperatures_c = made.status().temperatures_c
    assert sum(temperatures_c) / 4 == pytest.approx(expected_c, abs=1.5)


def test_it_does_no_more_than_is_offered_and_its_work_is_shared() -> None:
    made = twin()
    run(made, 20.0, offered=7.0)
    assert made.status().fps == pytest.approx(7.0, rel=0.01)
    idle = twin()
    run(idle, 20.0, offered=0.0)
    assert idle.status().fps == 0.0


def test_with_little_work_for_long_it_cools_down() -> None:
    made = twin()
    run(made, 85.0, heat_wave=(60.0, 80.0))
    assert made.status().latched
    run(made, 600.0, offered=2.0)
    assert not made.status().latched
    assert made.status().fps < 3.0


def test_the_same_options_give_the_same_twin_and_another_seed_of_noise_another() -> None:
    def told(seed: int) -> list[float]:
        made = twin(noise_c=2.0, seed=seed)
        run(made, 100.0, heat_wave=(20.0, 40.0))
        return [*made.status().temperatures_c, made.status().switches]

    assert told(1) == told(1) != told(2)


def test_without_a_sensor_it_takes_turns_by_the_timer_alone_and_without_heat_nothing_warms_up() -> None:
    made = twin(sensor=False)
    run(made, 100.0, heat_wave=(0.0, 90.0))
    assert (made.status().latched, made.status().switches) == (False, 49)
    made = twin(heat=False)
    run(made, 50.0)
    assert made.status().temperatures_c == [40.0] * 4


def test_it_does_not_make_up_for_a_long_pause() -> None:
    made, same = twin(), twin()
    run(made, 30.0)
    run(same, 30.0)
    made.advance(3630.0, 30.0, None)
    same._at_s = made._at_s - CATCH_UP_S
    same.advance(same._at_s + CATCH_UP_S, 30.0, None)
    assert made.status().temperatures_c == pytest.approx(same.status().temperatures_c, abs=3.0)
    assert made.status().switches - 15 <= CATCH_UP_S * 20 / 40 + 2


def demo(count: int = 4, size: int = 2, *, gateway: bool = True) -> Engine:
    settings = installation(count, cluster_size=size, gateway=gateway)
    engine = started(settings)
    stick_up(engine)
    return engine


def test_there_is_a_twin_where_simulated_sticks_take_turns_and_there_is_a_page() -> None:
    assert isinstance(twin_of(demo(), 1003.0), OriginalTwin)
    assert twin_of(started(installation(4, cluster_size=2, gateway=True)), 1003.0) is None, "no stick works yet"
    assert twin_of(demo(gateway=False), 1003.0) is None
    assert twin_of(demo(size=0), 1003.0) is None
    assert twin_of(demo(MOST_STICKS + 1), 1003.0) is None
    real = demo()
    real.settings = replace(real.settings, pools=[*real.settings.pools, *real.settings.pools])
    assert twin_of(real, 1003.0) is None, "two pools"


def test_what_is_offered_is_the_rate_of_the_cameras_also_where_they_skip_frames() -> None:
    engine = started(installation(1))
    assert offered_per_s(engine) == 0.0
    camera_up(engine)
    camera = engine.cameras.by_name["cam0"]
    assert camera.info is not None
    camera.capture_fps = 12.5
    camera.info = replace(camera.info, fps=30.0)
    assert offered_per_s(engine) == 30.0 * len(engine.settings.graphs)
    camera.info = replace(camera.info, fps=None)
    assert offered_per_s(engine) == 12.5 * len(engine.settings.graphs)
    graphs = engine.settings.graphs
    engine.settings = replace(engine.settings, graphs=[])
    assert offered_per_s(engine) == 12.5, "without a graph a frame is one inference"
    engine.settings = replace(engine.settings, graphs=[*graphs, *graphs])
    assert offered_per_s(engine) == 12.5 * 2 * len(graphs)
    engine.cameras.by_name["cam0"].signal = False
    assert offered_per_s(engine) == 0.0
    settings = installation(1)
    ordered = at_work(replace(settings, cameras=[replace(camera, ordered=True) for camera in settings.cameras]))
    assert offered_per_s(ordered) == math.inf

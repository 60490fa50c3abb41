"""The original script's policy on simulated sticks like the daemon's, beside them: a simulation, for the page.

It has as many sticks as the daemon, with their options (latency, air, sensor, seed), by the same thermal model and throttle, at the
same time scale; the same cluster size, switch temperature and interval; as many frames as the cameras offer; and each heat wave
that is injected. Other faults it does not have. A slice is one plant second, in which each stick is measured once, as by a worker.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Sequence

from ncs_cluster.backends.simulated import HEAT_WAVE_K, Options
from ncs_cluster.core.engine import Engine
from ncs_cluster.policies.original import Original
from ncs_cluster.specs import ClusterSpec, StickSpec
from ncs_cluster.status import OriginalStatus
from ncs_cluster.thermal import REST_S, Heat, different, sensor_reading, throttle_level

SLICE_S = 1.0
"""Plant seconds."""
MOST_SLICES_PER_S = 50.0
"""In a real second; slices are longer where time runs faster."""
MOST_STICKS = 16
CATCH_UP_S = 5.0
"""Real seconds that are made up for after a pause; the twin stands still during a longer one."""


def twin_of(engine: Engine, now_s: float) -> OriginalTwin | None:
    """The twin of a daemon that is simulated and has one pool with turns, once a stick works."""
    pools = engine.settings.pools
    if not engine.settings.simulated or engine.gateway is None or len(pools) != 1:
        return None
    sticks, size = pools[0].sticks, pools[0].clusters.cluster_size
    if not 1 <= size <= len(sticks) // 2 or len(sticks) > MOST_STICKS:
        return None
    if not any(stick.usable for stick in engine.sticks.by_id.values()):
        return None
    return OriginalTwin(sticks, pools[0].clusters, now_s)


def offered_per_s(engine: Engine) -> float:
    """How many inferences a second the cameras offer; infinite where a source is read as fast as it can be. A camera that skips
    frames on a busy machine offers as many as it has: those skipped are no merit of the policy."""
    total = 0.0
    for camera in engine.cameras.by_name.values():
        if camera.signal and not camera.ended:
            fps = camera.info.fps if camera.info is not None and camera.info.fps else camera.capture_fps
            # without a graph a frame is one inference
            total += math.inf if camera.ordered else fps * max(1, len(engine.settings.graphs))
    return total


class OriginalTwin:
    """All times are real seconds of the monotonic clock; the sticks' time is plant time."""

    def __init__(self, sticks: Sequence[StickSpec], clusters: ClusterSpec, now_s: float) -> None:
        self._sticks = [_Stick(spec) for spec in sticks]
        self._scale = clusters.time_scale
        self._policy = Original(len(sticks), clusters.cluster_size, clusters.switch_temp_c, clusters.switch_interval_s or math.inf)
        for number in range(len(sticks)):
            self._policy.plug(number, 0.0)
        self._began_s = self._at_s = now_s
        self._rate = self._throttled_s = 0.0

    def advance(self, now_s: float, offered: float, heat_wave: tuple[float, float] | None) -> None:
        """Go on to `now_s`, with `offered` inferences a second, and the air warmer from and until these times."""
        self._at_s = max(self._at_s, now_s - CATCH_UP_S)
        step_s = max(SLICE_S / self._scale, 1.0 / MOST_SLICES_PER_S)
        while self._at_s + step_s <= now_s:
            self._at_s += step_s
            warmer = heat_wave is not None and heat_wave[0] <= self._at_s < heat_wave[1]
            self._slice(step_s, offered, HEAT_WAVE_K if warmer else 0.0)

    def status(self) -> OriginalStatus:
        return OriginalStatus(
            temperatures_c=[round(stick.heat.die_c, 1) for stick in self._sticks],
            fps=round(self._rate, 1),
            throttled_s=round(self._throttled_s, 1),
            switches=self._policy.switches,
            latched=self._policy.spinning,
        )

    def _slice(self, step_s: float, offered: float, warmer_k: float) -> None:
        plant_s = (self._at_s - self._began_s) * self._scale
        for number, stick in enumerate(self._sticks):
            if (reading_c := stick.reading()) is not None:
                self._policy.measured(number, reading_c, stick.level, plant_s)
        self._policy.regulate(plant_s)
        work = self._policy.work(len(self._sticks))
        able = sum(share * stick.most_per_s for share, stick in zip(work, self._sticks, strict=True))
        kept = min(1.0, offered / able) if able else 0.0
        done = 0.0
        for share, stick in zip(work, self._sticks, strict=True):
            rate = share * kept * stick.most_per_s
            done += rate
            stick.advance(step_s * self._scale, rate * stick.latency_s, warmer_k)
            self._throttled_s += step_s * (stick.level > 0)
        self._rate += (1.0 - math.exp(-step_s / 2.0)) * (done - self._rate)


class _Stick:
    """One simulated stick, as `backends.simulated` has it."""

    def __init__(self, spec: StickSpec) -> None:
        self._options = options = Options(**spec.options)
        self._random = random.Random(options.seed ^ zlib.crc32(spec.id.encode()))
        start_c = options.ambient_c if options.initial_c is None else options.initial_c
        self.heat, self.level = Heat(start_c, start_c), 0
        self._plant = different(options.plant)
        self.latency_s = max(0.001, options.latency_ms / 1000)

    @property
    def most_per_s(self) -> float:
        return 1.0 / (self.latency_s + REST_S[self.level])

    def reading(self) -> float | None:
        options = self._options
        if not options.sensor:
            return None
        return sensor_reading(self.heat.die_c, self._random.gauss(0.0, options.noise_c), options.step_c)

    def advance(self, plant_s: float, work: float, warmer_k: float) -> None:
        if self._options.heat:
            self.heat = self._plant.step(self.heat, plant_s, work, self._options.ambient_c + warmer_k)
            self.level = throttle_level(self.level, self.heat.die_c)

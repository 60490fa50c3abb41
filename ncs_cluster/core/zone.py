"""The thermal zone of one stick: validity and age of its readings, the trip at switch-temp with hysteresis, the trend.

A stick without a sensor is never hot by reading. With one, a missing value, NaN or a value outside LOWEST_C..HIGHEST_C counts as
hot, and an old reading is assumed to have risen since. Times are plant seconds: real seconds times `time_scale`.

        hot   ............+-----------<--- at or over switch-temp
                          |          ^
        cool  ---->-------+..........|.... at or below switch-temp - HYSTERESIS
"""

from __future__ import annotations

import math

LOWEST_C, HIGHEST_C = -20.0, 125.0
FRESH_S = 2.0
"""Two telemetry periods: a younger reading is used without ageing."""
AGEING_C_PER_S = 0.54
"""Steepest rise of a die at full load, 24 K in 45 s: the assumed rise since an old reading."""
UNKNOWN_S = 15.0
HYSTERESIS_C = 3.0
CRITICAL_LEVEL = 2
"""At this throttle level the firmware pauses 10 s after each inference: the stick counts as hot whatever its reading."""
_TREND_S = 10.0


class Zone:
    """One stick's thermal zone."""

    def __init__(self, switch_temp_c: float) -> None:
        self.switch_temp_c = switch_temp_c
        self.ceiling_c: float | None = None
        """Learned: the stick throttles from about there on. It replaces a higher switch temperature."""
        self.has_sensor = False
        self._valid_c: float | None = None
        self._read_s: float | None = None
        self._slope_c_per_s = 0.0
        self._hot = False
        self._critical = False

    def open(self, has_sensor: bool) -> None:
        """The stick was opened: earlier readings are dropped, the state hot is kept where it has a sensor."""
        self.has_sensor = has_sensor
        self._valid_c = self._read_s = None
        self._slope_c_per_s = 0.0
        self._critical = False
        if not has_sensor:
            self._hot = False

    def read(self, value_c: float | None, now_s: float) -> None:
        """A reading in °C, which may be missing or invalid, taken at `now_s`."""
        if value_c is None or not math.isfinite(value_c) or not LOWEST_C <= value_c <= HIGHEST_C:
            self._valid_c, self._read_s = None, now_s
            self._hot = self.has_sensor
            return
        if self._valid_c is not None and self._read_s is not None and now_s > self._read_s:
            slope = (value_c - self._valid_c) / (now_s - self._read_s)
            weight = min(1.0, (now_s - self._read_s) / _TREND_S)
            self._slope_c_per_s += weight * (slope - self._slope_c_per_s)
        self._valid_c, self._read_s = value_c, now_s
        self._trip(value_c)

    def throttle(self, level: int) -> None:
        """The firmware's throttle level: 0, 1 or 2."""
        self._critical = level >= CRITICAL_LEVEL

    @property
    def has_reading(self) -> bool:
        """It has no sensor, or a reading since it was opened."""
        return not self.has_sensor or self._read_s is not None

    @property
    def reading_c(self) -> float | None:
        """The newest reading as it came; None when it was not valid."""
        return self._valid_c

    @property
    def read_s(self) -> float | None:
        """When the newest reading was taken, where it is valid."""
        return None if self._valid_c is None else self._read_s

    def temperature_c(self, now_s: float) -> float | None:
        """The newest valid reading, aged; None when unknown."""
        if self._valid_c is None or self._read_s is None:
            return None
        age_s = now_s - self._read_s
        if age_s > UNKNOWN_S:
            return None
        return self._valid_c if age_s <= FRESH_S else self._valid_c + AGEING_C_PER_S * age_s

    def age_s(self, now_s: float) -> float | None:
        """Plant seconds since the last reading, valid or not."""
        return None if self._read_s is None else now_s - self._read_s

    def update(self, now_s: float) -> None:
        """Age the newest reading to `now_s` and apply the trip. Call it before a decision by `is_hot`."""
        if not self.has_sensor:
            return
        aged_c = self.temperature_c(now_s)
        if aged_c is None:
            self._hot = True
        else:
            self._trip(aged_c)

    @property
    def trip_c(self) -> float:
        """Where it becomes hot."""
        return self.switch_temp_c if self.ceiling_c is None else min(self.switch_temp_c, self.ceiling_c)

    @property
    def is_hot(self) -> bool:
        """As of the last update. True: the stick gets no frame under any policy."""
        return self.has_sensor and (self._hot or self._critical)

    @property
    def deadline_s(self) -> float | None:
        """When the zone becomes hot without a new reading: the aged reading reaches the trip, or is too old. None: never, or hot
        already."""
        if not self.has_sensor or self._hot or self._valid_c is None or self._read_s is None:
            return None
        return self._read_s + min(max(FRESH_S, (self.trip_c - self._valid_c) / AGEING_C_PER_S), UNKNOWN_S)

    def hot_reason(self, now_s: float) -> str:
        """Why it is hot, for the operator, to follow the stick's name."""
        aged_c = self.temperature_c(now_s)
        if self._critical:
            return "is too hot: its firmware throttles it"
        if aged_c is None:
            return "reports no temperature"
        return f"is {'too' if aged_c >= self.trip_c else 'still too'} hot ({aged_c:.1f} °C)"

    def headroom_s(self, now_s: float) -> float | None:
        """Plant seconds until switch-temp at the present rate of rise; None when it does not rise or is unknown."""
        aged_c = self.temperature_c(now_s)
        if aged_c is None or self._slope_c_per_s < 0.01:
            return None
        return max(0.0, (self.trip_c - aged_c) / self._slope_c_per_s)

    def cool_in_s(self, now_s: float) -> float | None:
        """Plant seconds until it is no longer hot at the present rate of cooling; None when it does not cool or is unknown."""
        aged_c = self.temperature_c(now_s)
        if aged_c is None or self._slope_c_per_s > -0.01:
            return None
        return max(0.0, (aged_c - self.trip_c + HYSTERESIS_C) / -self._slope_c_per_s)

    def _trip(self, aged_c: float) -> None:
        if aged_c >= self.trip_c:
            self._hot = True
        elif aged_c <= self.trip_c - HYSTERESIS_C:
            self._hot = False

"""The fan and the sensor of the air. Runs on CPython 3.9."""

from __future__ import annotations

from msgspec import Struct


class FanSpec(Struct, frozen=True):
    """A fan, and the headroom of the sticks by which it turns: see core.fan."""

    chip: str
    """What the file `name` of its hwmon folder says."""
    channel: int = 1
    """Its file is pwmN."""
    sysfs: str = "/sys"
    off_above_k: float = 20.0
    full_below_k: float = 8.0
    hysteresis_k: float = 2.0
    least_run_s: float = 60.0
    least_duty: float = 0.3
    """The slowest speed at which it surely turns, 0 to 1."""


class AmbientSpec(Struct, frozen=True):
    """A sensor of the air around the sticks: a file of millidegrees."""

    file: str = ""
    """Relative to `sysfs`; empty: tempN_input of `chip`."""
    chip: str = ""
    channel: int = 1
    sysfs: str = "/sys"

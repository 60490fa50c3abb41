"""What was found, as a file and as text."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from ncs_cluster.cli.calibrate.fit import Figure, Fit
from ncs_cluster.cli.calibrate.samples import Measurement, Sample, measured_s
from ncs_cluster.cli.text import duration
from ncs_cluster.provision import files
from ncs_cluster.specs import DieFigures


class Calibration(Struct, frozen=True):
    """The file of one stick. `figures` is what the daemon reads; nothing in it names a host, a user or a serial number."""

    version: str
    """Of ncs_cluster."""
    on: str
    """Day."""
    device: str
    firmware: str | None
    measurement: Measurement
    figures: DieFigures
    fit: Fit
    hottest_c: float
    """Highest reading."""
    throttled_c: float | None
    """Lowest reading at which the firmware began to throttle; None: it did not."""
    samples: list[Sample]


def throttled_c(samples: list[Sample]) -> float | None:
    before = 0
    found = []
    for sample in samples:
        if sample.level > before:
            found.append(sample.temperature_c)
        before = sample.level
    return min(found, default=None)


def write(file: Path, calibration: Calibration) -> None:
    """In place of an earlier one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write(file, msgspec.json.encode(calibration) + b"\n")


def text(calibration: Calibration) -> str:
    fit, measurement = calibration.fit, calibration.measurement
    settles = Figure(
        fit.idle_c.value + fit.die_rise_k.value + fit.case_rise_k.value,
        (fit.idle_c.sigma**2 + fit.die_rise_k.sigma**2 + fit.case_rise_k.sigma**2) ** 0.5,
    )
    if calibration.throttled_c is None:
        throttle = f"not up to {calibration.hottest_c:.1f} °C"
    else:
        throttle = f"from {calibration.throttled_c:.1f} °C on"
    rows = [
        ("die over case, at full work", _value(fit.die_rise_k, "K")),
        ("  its time constant", _value(fit.die_s, "s")),
        ("case over air, at full work", _value(fit.case_rise_k, "K")),
        ("  its time constant", _value(fit.case_s, "s")),
        ("time constants of both together", f"{_value(fit.fast_s, 's')}, {_value(fit.slow_s, 's')}"),
        ("die at rest", _value(fit.idle_c, "°C")),
        ("die at full work, without a limit", _value(settles, "°C")),
        ("noise of a reading, and its delay", f"{fit.noise_c:.2f} K, {fit.delay_s:g} s"),
        ("throttled by its firmware", throttle),
    ]
    seconds = measured_s(calibration.samples)
    head = f"{measurement.stick}: {calibration.device}, {len(calibration.samples)} readings in {duration(seconds)}"
    return "\n".join([head, *(f"  {name:34}{value}" for name, value in rows)])


def _value(figure: Figure, unit: str) -> str:
    digits = 1 if abs(figure.value) < 100 else 0
    return f"{figure.value:.{digits}f} ± {max(figure.sigma, 0.1 if digits else 1):.{digits}f} {unit}"

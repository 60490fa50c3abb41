"""The file of an interrupted calibration: nothing that was read is lost, and only the same calibration goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from ncs_cluster.cli.calibrate.samples import Kept, Measurement, Sample, load, measured_s, phases
from ncs_cluster.errors import ConfigError

MEASUREMENT = Measurement("1-1.2", "xlink", "demo", 1200.0, 600.0, 65.0, 1.0)
SAMPLES = [Sample(0, 0.5, 40.0, 0.0, 0), Sample(0, 10.5, 41.5, 3.25, 0), Sample(1, 7.0, 39.0, 0.0, 1)]


def test_what_was_kept_is_there_again_also_behind_a_line_that_was_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "thermal" / "1-1.2.part"
    assert load(file, MEASUREMENT) == []
    with Kept(file, MEASUREMENT, begun=False) as kept:
        for sample in SAMPLES[:2]:
            kept.add(sample)
    with file.open("ab") as cut:
        cut.write(b"[0,11.5,4")
    with Kept(file, MEASUREMENT, begun=True) as kept:
        kept.add(SAMPLES[2])
    assert load(file, MEASUREMENT) == SAMPLES


def test_another_measurement_does_not_go_on_and_says_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "a.part"
    with Kept(file, MEASUREMENT, begun=False):
        pass
    with pytest.raises(ConfigError, match="begun with another idle, limit_c; give the same flags"):
        load(file, structs.replace(MEASUREMENT, idle_s=60.0, limit_c=60.0))
    file.write_bytes(b"\x00\xff\n")
    with pytest.raises(ConfigError, match="begin anew with --again"):
        load(file, MEASUREMENT)


def test_the_time_between_two_segments_is_not_measured() -> None:
    assert measured_s(SAMPLES) == 10.0
    assert measured_s([*SAMPLES, Sample(1, 9.0, 39.0, 0.0, 0)]) == 12.0
    assert measured_s([]) == 0.0


def test_it_rests_works_and_rests_again() -> None:
    assert [(each.until_s, each.load) for each in phases(MEASUREMENT)] == [(1200.0, False), (1800.0, True), (3000.0, False)]

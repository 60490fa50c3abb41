"""Metrics say what the status says, in base units, and promtool has nothing to add."""

from __future__ import annotations

import re
import subprocess

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from ncs_cluster.processes.gateway.metrics import text
from ncs_cluster.status import (
    FallbackStatus,
    FleetJobStatus,
    FleetStatus,
    LatencyStatus,
    LoadStatus,
    ShadowStatus,
    SinkStatus,
    Status,
)
from ncs_cluster.testing.control import full_status, some_job, some_status, some_stick
from ncs_cluster.testing.gateway import Site
from tests.conftest import ROOT
from tests.needs import need_program


def samples(status: Status | None) -> dict[tuple[str, tuple[str, ...]], float]:
    """Name and label values (label names in alphabetic order) to value."""
    families = text_string_to_metric_families(text(status).decode())
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_air_and_the_fan_are_there_where_they_are_known() -> None:
    found = samples(full_status())
    assert (found["ncs_cluster_ambient_celsius", ()], found["ncs_cluster_fan_duty_ratio", ()]) == (23.5, 0.302)
    names = {name for name, _ in samples(some_status())}
    assert not {"ncs_cluster_ambient_celsius", "ncs_cluster_fan_duty_ratio"} & names


def test_what_predictive_would_do_is_there_once_it_is_known() -> None:
    found = {name.removeprefix("ncs_cluster_"): value for (name, labels), value in samples(full_status()).items() if labels}
    assert found["shadow_sustainable_inferences_per_second"] == 40.0
    assert found["shadow_unlimited_inferences_per_second"] == 65.4
    assert found["allowed_inferences_per_second"] == 38.2
    assert found["stick_headroom_celsius"] == 20.0
    assert found["stick_sustainable_inferences_per_second"] == 16.4
    pool = replace(full_status().pools[0], shadow=ShadowStatus(False, None, None, None, []))
    unknown = {name for name, _ in samples(replace(some_status(), pools=[pool, replace(pool, name="cpu", shadow=None)]))}
    assert not {name for name in unknown if "shadow" in name or "allowed" in name or "sustainable" in name}


def test_a_job_over_hosts_has_sums_and_its_chunks_have_no_series_of_their_own() -> None:
    over = FleetJobStatus("1f2e", "photos/2024", "running", 14, 1, 0, 2800, 3, 41.2, 1.7e9, None)
    fleet = FleetStatus("attic", "nats://server", "draining", 1, 0, [over])
    found = samples(replace(some_status(), jobs=[some_job("1"), replace(some_job("7"), chunk_of="1f2e")], fleet=fleet))
    assert {labels for name, labels in found if name == "ncs_cluster_job_frames_done"} == {("1",)}
    assert found["ncs_cluster_fleet_job_chunks_total", ("1f2e", "photos/2024")] == 14
    assert found["ncs_cluster_fleet_job_frames", ("1f2e", "photos/2024")] == 2800
    drains = {labels: value for (name, labels), value in found.items() if name == "ncs_cluster_fleet_drain"}
    assert drains == {("no",): 0, ("draining",): 1, ("drained",): 0}
    assert found["ncs_cluster_fleet_chunks", ()] == 1
    assert found["ncs_cluster_host_info", ("attic",)] == 1


def test_what_is_asked_of_the_sticks_and_what_they_sustain_are_there() -> None:
    load = LoadStatus(60.0, 41.5, overloaded=True, limited_by="heat", retry_after_s=1)
    stick = replace(some_status().sticks[0], slowdown=2.5, duty=0.7, limit_c=62.0)
    found = {
        name.removeprefix("ncs_cluster_"): value
        for (name, _), value in samples(replace(some_status(), load=load, sticks=[stick])).items()
    }
    limits = {labels: value for (name, labels), value in samples(replace(some_status(), load=load)).items() if "limited_by" in name}
    assert limits == {("cluster size",): 0, ("heat",): 1, ("speed",): 0}
    assert (found["asked_inferences_per_second"], found["capacity_inferences_per_second"], found["overloaded"]) == (60.0, 41.5, 1)
    assert (found["stick_slowdown_ratio"], found["stick_duty_ratio"], found["stick_limit_celsius"]) == (2.5, 0.7, 62.0)


def test_the_fallback_says_whether_it_works_and_how_often_it_had_to() -> None:
    known = FallbackStatus("fallback", ready=True, serving=True, reason="no stick can work", fps=12.0, takeovers=3, served_s=41.5)
    found = {
        name.removeprefix("ncs_cluster_fallback_"): value
        for (name, _), value in samples(replace(some_status(), fallback=known)).items()
        if "fallback" in name
    }
    assert found == {"serving": 1, "ready": 1, "takeovers_total": 3, "served_seconds_total": 41.5}
    without = {name: value for (name, _), value in samples(some_status()).items() if "fallback" in name}
    assert without == {"ncs_cluster_fallback_serving": 0}, "an alert rule finds it everywhere"


def test_programs_that_send_pictures_are_there_with_what_became_of_these() -> None:
    found = {
        key: value
        for key, value in samples(full_status()).items()
        if key[0].startswith(("ncs_cluster_intake", "ncs_cluster_client"))
    }
    client = ("10.0.0.2 yolox_nano", "frigate")
    assert found == {
        ("ncs_cluster_intake_open_pictures", ("frigate",)): 3,
        ("ncs_cluster_intake_answers_total", ("frigate",)): 880,
        ("ncs_cluster_intake_failures_total", ("frigate",)): 8,
        ("ncs_cluster_intake_withdrawals_total", ("frigate",)): 12,
        ("ncs_cluster_intake_latency_seconds", ("frigate", "0.5")): pytest.approx(0.051),
        ("ncs_cluster_intake_latency_seconds", ("frigate", "0.99")): pytest.approx(0.09),
        ("ncs_cluster_client_pictures_total", client): 900,
        ("ncs_cluster_client_answers_total", client): 880,
        ("ncs_cluster_client_shed_total", client): 5,
        ("ncs_cluster_client_late_total", client): 12,
        ("ncs_cluster_client_handshakes_total", client): 4,
    }


def test_values_are_in_base_units() -> None:
    found = samples(some_status())
    assert found["ncs_cluster_up", ()] == 1
    assert found["ncs_cluster_stick_temperature_celsius", ("sim-1",)] == 45.0
    assert found["ncs_cluster_stick_latency_seconds", ("0.5", "sim-1")] == pytest.approx(0.1004)
    assert found["ncs_cluster_camera_picture_latency_seconds", ("cam0", "0.99")] == pytest.approx(0.009)
    assert found["ncs_cluster_stick_state", ("active", "sim-1")] == 1
    assert found["ncs_cluster_stick_state", ("standby", "sim-1")] == 0
    assert found["ncs_cluster_stick_inferences_total", ("sim-1",)] == 512
    assert found["ncs_cluster_frames_dropped_total", ("cam0",)] == 610
    assert found["ncs_cluster_machine_cpu_ratio", ()] == pytest.approx(0.18)
    assert found["ncs_cluster_frames_lost_total", ()] == 0


def test_every_metric_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "gateway.md").read_text().split("## Metrics")[1]
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)[^`]*`", row)}
    assert len(named) > 15
    over = FleetJobStatus("1f2e", "photos/2024", "running", 14, 1, 0, 2800, 3, 41.2, 1.7e9, None)
    whole = replace(full_status(), fleet=FleetStatus("attic", "nats://server", "no", 1, 0, [over]))
    assert named <= {name.removeprefix("ncs_cluster_") for name, _ in samples(whole)}


def test_what_is_unknown_is_left_out_and_never_zero() -> None:
    status = some_status()
    stick = replace(some_stick("sim-1", "absent", None), temperature_age_s=None, latency_ms=LatencyStatus(None, None))
    found = samples(replace(status, sticks=[stick], machine=None))
    names = {name for name, _ in found}
    assert "ncs_cluster_stick_temperature_celsius" not in names
    assert "ncs_cluster_stick_latency_seconds" not in names
    assert "ncs_cluster_machine_cpu_ratio" not in names
    assert ("ncs_cluster_process_cpu_ratio", ("gateway",)) not in found


def test_a_job_has_its_state_and_its_frames() -> None:
    found = samples(replace(some_status(), jobs=[some_job("7")]))
    states = {labels: value for (name, labels), value in found.items() if name == "ncs_cluster_job_state"}
    assert {labels for labels, value in states.items() if value} == {("7", "running")}
    frames = {name: value for (name, labels), value in found.items() if labels == ("7",)}
    assert frames == {
        "ncs_cluster_job_frames_done": 12_345,
        "ncs_cluster_job_frames_expected": 20_000,
        "ncs_cluster_job_frames_failed": 3,
    }


def test_every_sink_has_what_it_wrote_and_whether_it_writes() -> None:
    first = SinkStatus("a.jsonl", "running", 12, 0, 0, None)
    second = SinkStatus("b.jsonl", "blocked", 7, 900, 3, "no space left on device", "2")
    found = samples(replace(some_status(), sink=first, sinks=[first, second]))
    sinks = {(name.removeprefix("ncs_cluster_sink_"), labels): value for (name, labels), value in found.items() if "sink" in name}
    assert {key: value for key, value in sinks.items() if key[1] in (("a.jsonl",), ("b.jsonl",))} == {
        ("blocked", ("a.jsonl",)): 0,
        ("blocked", ("b.jsonl",)): 1,
        ("records_total", ("a.jsonl",)): 12,
        ("records_total", ("b.jsonl",)): 7,
        ("records_lost_total", ("a.jsonl",)): 0,
        ("records_lost_total", ("b.jsonl",)): 3,
        ("waiting_records", ("a.jsonl",)): 0,
        ("waiting_records", ("b.jsonl",)): 900,
    }


def test_two_sinks_of_one_place_are_one_series() -> None:
    """Prometheus refuses a whole scrape in which a series comes twice."""
    old, new = SinkStatus("a.jsonl", "running", 12, 5, 0, None), SinkStatus("a.jsonl", "starting", 0, 0, 0, None, "2")
    lines = text(replace(some_status(), sinks=[old, new])).decode().splitlines()
    assert [line for line in lines if line.startswith("ncs_cluster_sink_records_total")] == [
        'ncs_cluster_sink_records_total{sink="a.jsonl"} 0.0'
    ]


def test_a_stick_s_name_and_port_can_be_joined() -> None:
    sticks = [replace(some_stick("sim-1", "active", 40.0), name="left", device=None)]
    families = text_string_to_metric_families(text(replace(some_status(), sticks=sticks)).decode())
    (info,) = [family for family in families if family.name == "ncs_cluster_stick_info"]
    assert [sample.labels for sample in info.samples] == [
        {"stick": "sim-1", "name": "left", "port": "simulated port 1", "pool": "default", "backend": "simulated", "device": ""}
    ]


def test_a_silent_daemon_is_one_metric() -> None:
    assert samples(None) == {("ncs_cluster_up", ()): 0}


def test_hostile_names_stay_inside_their_quotes() -> None:
    status = some_status()
    name = 'x"} 1\nncs_cluster_up 0\\'
    found = samples(replace(status, sticks=[some_stick(name, "active", 40.0)]))
    assert found["ncs_cluster_stick_temperature_celsius", (name,)] == 40.0
    assert found["ncs_cluster_up", ()] == 1


def test_promtool_has_nothing_to_say(running_site: Site) -> None:
    promtool = need_program("promtool", "prometheus")
    running_site.control.status = full_status()
    answer = running_site.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    checked = subprocess.run([promtool, "check", "metrics"], input=answer.body, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")

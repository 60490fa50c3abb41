"""The dashboard and the alert rules of deploy/ against a real Prometheus that asks a real daemon."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ncs_cluster.processes.gateway.metrics import text
from ncs_cluster.specs import ClusterSpec, GatewaySpec
from ncs_cluster.testing.control import full_status
from ncs_cluster.testing.daemon import running, settings, sticks, synthetic
from tests.conftest import ROOT
from tests.needs import need_program
from tests.prometheus import FILES, Prometheus, prometheus

DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
}
OF_MACHINE = {"ncs-cluster": 'instance="$instance"', "ncs-cluster-hosts": 'instance=~"$instance"'}
"""How each dashboard chooses machines: one, or several."""
TOKEN = "a-good-long-token"
SOMETIMES = {
    f"ncs_cluster_{name}"
    for name in (
        "ambient_celsius",
        "fan_duty_ratio",
        "machine_temperature_celsius",
        "client_answers_total",
        "client_late_total",
        "client_pictures_total",
        "client_shed_total",
        "intake_answers_total",
        "intake_failures_total",
        "intake_latency_seconds",
        "intake_open_pictures",
        "intake_withdrawals_total",
        "stick_headroom_celsius",
        "stick_headroom_seconds",
        "stick_slowdown_ratio",
        "allowed_inferences_per_second",
        "shadow_sustainable_inferences_per_second",
        "shadow_unlimited_inferences_per_second",
    )
}
"""Metrics that a daemon has not got in its first minute, or on every machine."""


def panels(dashboard: str) -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARDS[dashboard]["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Of all panels of all dashboards, for the one machine."""
    found = [target["expr"] for dashboard in DASHBOARDS for panel in panels(dashboard) for target in panel["targets"]]
    return [expression.replace("$instance", "here").replace("$__rate_interval", "5s") for expression in found]


def selectors(expression: str) -> list[tuple[str, str]]:
    """(name, selector) of each metric of an expression."""
    return [(match[1], match[0]) for match in re.finditer(r"\b(ncs_cluster_\w+|up)\b(?:\{[^}]*\})?", expression)]


def promtool(*asked: str, folder: Path = FILES) -> subprocess.CompletedProcess[str]:
    command = [need_program("promtool", "prometheus"), *asked]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It has asked a daemon with two simulated sticks several times."""
    folder = tmp_path_factory.mktemp("monitored")
    given = settings(
        folder,
        sticks(2, latency_ms=10.0),
        [synthetic()],
        ClusterSpec(1, "ring", 5.0, 65.0, time_scale=20.0),
        gateway=GatewaySpec("127.0.0.1", 0, TOKEN),
        results=folder / "results.jsonl",
    )
    with running(given) as daemon:
        daemon.well()
        with daemon.client() as client:
            place = urlsplit(client.url())
        with prometheus(folder, place.netloc, TOKEN) as server:
            server.until("count_over_time(ncs_cluster_stick_duty_ratio[1m]) > 3")
            yield server


@pytest.mark.slow
def test_every_expression_of_the_dashboards_finds_series_of_a_real_daemon(monitored: Prometheus) -> None:
    """One that matches no label, or adds up what has different labels, finds none."""
    (instance,) = {series["metric"]["instance"] for series in monitored.query("ncs_cluster_up")}
    asked = [expression.replace('"here"', f'"{instance}"') for expression in expressions()]
    assert len(asked) > 40
    empty = [expression for expression in asked if not monitored.query(expression)]
    assert {name for expression in empty for name, _ in selectors(expression)} <= SOMETIMES


@pytest.mark.slow
def test_the_join_that_the_documentation_shows_gives_a_series_the_name_of_its_machine(monitored: Prometheus) -> None:
    shown = re.search(r"by a join: `([^`]+)`", (ROOT / "docs/integrations.md").read_text())
    assert shown is not None
    (series,) = monitored.query(" ".join(shown[1].split()))
    assert series["metric"]["host"] == socket.gethostname().partition(".")[0]
    assert series["value"][1] == "1"


@pytest.mark.slow
def test_every_metric_and_label_of_the_alert_rules_is_one_of_a_real_daemon(monitored: Prometheus) -> None:
    found = {selector: bool(monitored.query(selector)) for rule in monitored.rules() for _, selector in selectors(rule["query"])}
    assert len(found) > 15
    missing = {selector for selector, there in found.items() if not there}
    assert {name for selector in missing for name, _ in selectors(selector)} <= SOMETIMES


@pytest.mark.slow
def test_no_alert_is_raised_for_a_daemon_that_is_well(monitored: Prometheus) -> None:
    """Nor is one about to be: all are evaluated every second."""
    rules = monitored.rules()
    assert {rule["health"] for rule in rules} == {"ok"}
    assert [rule["name"] for rule in rules if rule["state"] != "inactive"] == []


def test_what_a_daemon_has_only_sometimes_is_a_metric_too() -> None:
    families = text_string_to_metric_families(text(full_status()).decode())
    assert {sample.name for family in families for sample in family.samples} >= SOMETIMES


def test_alert_rules_are_raised_when_they_should_be_and_not_before() -> None:
    done = promtool("test", "rules", "alerts_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_rule_is_tried_and_described_and_tells_what_to_do() -> None:
    rules = re.split(r"\n      - alert: ", (FILES / "alerts.yml").read_text())[1:]
    tried = (FILES / "alerts_test.yml").read_text()
    described = (ROOT / "docs/integrations.md").read_text()
    assert set(re.findall(r"`(Ncs\w+)`", described)) == {rule.split()[0] for rule in rules}
    assert f"{len(rules)} alert rules" in described
    for rule in rules:
        name = rule.split()[0]
        assert name in tried
        for key in ("expr:", "for:", "severity: ", "summary: ", "description: "):
            assert key in rule, f"{name} has no {key}"


def test_promtool_has_nothing_to_say_about_the_files(tmp_path: Path) -> None:
    """The token is named by the path that the documentation gives it; here it lies elsewhere."""
    (tmp_path / "token").write_text(TOKEN)
    for name in ("alerts.yml", "prometheus.yml"):
        shown = (FILES / name).read_text().replace("/etc/prometheus/ncs-cluster.token", str(tmp_path / "token"))
        (tmp_path / name).write_text(shown)
    done = promtool("check", "config", "prometheus.yml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.parametrize("dashboard", OF_MACHINE)
def test_panels_ask_the_chosen_data_source_for_the_chosen_machines_and_do_not_overlap(dashboard: str) -> None:
    assert set(DASHBOARDS) == set(OF_MACHINE)
    cells: dict[tuple[int, int], str] = {}
    for panel in DASHBOARDS[dashboard]["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert cells.setdefault((x, y), panel.get("title", "")) == panel.get("title", "")
    assert len({panel["id"] for panel in DASHBOARDS[dashboard]["panels"]}) == len(DASHBOARDS[dashboard]["panels"])
    for panel in panels(dashboard):
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            for _, selector in selectors(target["expr"]):
                assert OF_MACHINE[dashboard] in selector, panel["title"]

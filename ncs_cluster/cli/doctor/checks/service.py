"""The systemd unit: installed, enabled, running or failed; and whether its user exists."""

from __future__ import annotations

import re
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import UNIT, Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.errors import EX_CONFIG

LOG = f"journalctl -u {UNIT} -n 30"
OFTEN = 3
"""Restarts by systemd from which on the service counts as failing again and again."""


class Facts(NamedTuple):
    unit: str | None
    shown: dict[str, str]
    """What `systemctl show` says; empty where systemd does not answer."""
    daemon_runs: bool


def probe(case: Case) -> Facts:
    unit = case.subject.unit
    said = ""
    if unit is not None and (case.machine.at("/run/systemd/system").is_dir() or not case.machine.real):
        keys = ("ActiveState", "SubState", "Result", "NRestarts", "ExecMainStatus", "UnitFileState", "NeedDaemonReload")
        said = case.machine.run("systemctl", "show", UNIT, *(f"--property={key}" for key in keys)) or ""
    return Facts(unit, dict(re.findall(r"^(\w+)=(.*)$", said, re.M)), case.status is not None)


def judge(facts: Facts) -> list[Finding]:
    if facts.unit is None:
        return [skip(f"no unit {UNIT} is installed: the daemon is started by hand")]
    if not facts.shown:
        return [skip(f"{facts.unit} is there, but systemd does not answer")]
    shown, found = facts.shown, list[Finding]()
    active, restarts = shown.get("ActiveState", ""), int(number) if (number := shown.get("NRestarts", "")).isdigit() else 0
    if shown.get("NeedDaemonReload") == "yes":
        found.append(
            warn(
                f"{facts.unit} has changed since systemd read it", f"sudo systemctl daemon-reload && sudo systemctl restart {UNIT}"
            )
        )
    if active == "failed":
        found.append(_failed(shown))
    elif shown.get("SubState") == "auto-restart" or (active != "active" and restarts >= OFTEN):
        found.append(fail(f"the service ends again and again, {restarts} restarts so far ({shown.get('Result')})", LOG))
    elif active == "active":
        if restarts >= OFTEN:
            found.append(warn(f"systemd has restarted the service {restarts} times", LOG))
        if shown.get("UnitFileState") == "disabled":
            found.append(warn("the service runs, but does not start at boot: it is not enabled", f"sudo systemctl enable {UNIT}"))
    elif facts.daemon_runs:
        found.append(skip(f"the service is {active}: a daemon that systemd has not started runs"))
    elif shown.get("UnitFileState") == "masked":
        found.append(fail("the service is masked: it cannot start", f"sudo systemctl unmask {UNIT}"))
    else:
        found.append(fail(f"the service is {active or 'not known to systemd'}", f"sudo systemctl enable --now {UNIT}"))
    return found or [passed(f"{UNIT} is {active}, {shown.get('UnitFileState') or 'enabled'}, {restarts} restarts")]


def _failed(shown: dict[str, str]) -> Finding:
    if shown.get("ExecMainStatus") == str(EX_CONFIG):
        return fail("the service has stopped: it refuses a setting (exit code 78)", f"{LOG}; then sudo systemctl restart {UNIT}")
    how = f"{shown.get('Result')}, exit code {shown.get('ExecMainStatus')}"
    return fail(f"the service has failed ({how})", f"{LOG}; then sudo systemctl restart {UNIT}")

"""Whether the daemon answers at its control socket; its state and reasons, from its status."""

from __future__ import annotations

from typing import NamedTuple

import ncs_cluster
from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.status import DaemonStatus

OURS = ncs_cluster.__version__


class Facts(NamedTuple):
    daemon: DaemonStatus | None
    silence: str | None
    """Why the daemon does not answer, where one may run."""


def probe(case: Case) -> Facts:
    return Facts(None if case.status is None else case.status.daemon, case.silence)


def judge(facts: Facts) -> list[Finding]:
    daemon = facts.daemon
    if daemon is None:
        if facts.silence is None:
            return [skip("no daemon runs: settings and machine are judged without its status")]
        if "no permission" in facts.silence:
            return [skip("a daemon may run, but its control socket is closed to this user", "sudo ncsctl doctor")]
        if "is starting" in facts.silence:
            return [skip(f"{facts.silence}; try again when it has started", "ncsctl doctor")]
        return [fail(facts.silence, "journalctl -u ncs-clusterd -n 50")]
    found = [] if daemon.reasons else [passed(f"ncs-clusterd {daemon.version}, pid {daemon.pid}: {daemon.state}")]
    for reason in daemon.reasons:
        make = fail if daemon.state == "down" else warn
        found.append(make(f"the daemon is {daemon.state}: {reason}", "ncsctl status; ncsctl events"))
    if daemon.version != OURS:
        found.append(warn(f"ncs-clusterd {daemon.version} runs, and {OURS} is installed", "sudo systemctl restart ncs-clusterd"))
    return found

"""Programs that send pictures, Frigate above all: connected or not, handshakes, frames, late answers, and those that never send."""

from __future__ import annotations

from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, passed, skip, warn
from ncs_cluster.status import IntakeStatus
from ncs_cluster.types import IntakeClient

API = "api"
"""The intake that answers over HTTP, whose clients come and go."""
LATE = 0.05
"""Part of the frames that may be late."""
RUNNING = ("running", "open")


class Facts(NamedTuple):
    configured: list[str]
    """Where the settings have clients served: "Frigate at tcp://127.0.0.1:5555"."""
    intakes: list[IntakeStatus] | None
    """None where no daemon answers."""


def probe(case: Case) -> Facts:
    return Facts(
        [f"{each.name} at {each.shown}" for each in case.settings.intakes], None if case.status is None else case.status.intakes
    )


def judge(facts: Facts) -> list[Finding]:
    if facts.intakes is None:
        served = ", ".join(facts.configured)
        return [skip(f"{served}: clients are seen while the daemon runs" if served else "no other program's pictures are served")]
    found = []
    for intake in facts.intakes:
        if intake.state not in RUNNING or intake.detail:
            why = f": {intake.detail}" if intake.detail else ""
            found.append(warn(f"{intake.name} at {intake.address or '?'} is {intake.state}{why}", "ncsctl events"))
        elif not intake.clients and intake.name != API:
            found.append(warn(f"no client has come to {intake.name} at {intake.address}", f"ncsctl {intake.name}"))
        found += [_client(intake.name, client) for client in intake.clients]
    return found or [skip("no other program's pictures are served" if not facts.intakes else "no client has come")]


def _client(intake: str, client: IntakeClient) -> Finding:
    shaken = f"{client.handshakes} handshakes, " if client.handshakes else ""
    shed = f", {client.shed} shed" if client.shed else ""
    text = f"{intake} client {client.name}: {shaken}{client.asked} frames, {client.answered} answered, {client.late} late{shed}"
    if client.handshakes and not client.asked:
        return warn(f"{text}: it has never sent a frame", f"ncsctl {intake}; then restart {intake.capitalize()}")
    if client.asked and client.late + client.shed > LATE * client.asked:
        return warn(
            f"{text}: the sticks are slower than it asks", "ncsctl status; docs/integrations.md: fewer frames, or more sticks"
        )
    return warn(f"{text}; {client.detail}", "ncsctl status") if client.detail and not client.answered else passed(text)

"""The MQTT broker: whether it can be reached, and what the running daemon says of it."""

from __future__ import annotations

import socket
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn

KIND = "mqtt"
REACH_S = 2.0


class Facts(NamedTuple):
    shown: str | None
    """None where no broker is configured."""
    host: str
    port: int
    problem: str | None
    """Why the broker cannot be reached."""
    said: str | None
    """Why the running daemon cannot publish, by its status."""


def probe(case: Case) -> Facts:
    spec = next((each for each in case.settings.sinks if each.kind == KIND), None)
    if spec is None:
        return Facts(None, "", 0, None, None)
    host, port, problem = str(spec.options["host"]), int(spec.options["port"]), None
    try:
        socket.create_connection((host, port), REACH_S).close()
    except TimeoutError:
        problem = f"no answer within {REACH_S:.0f} s"
    except OSError as error:
        problem = str(error.strerror or error)
    sinks = case.status.sinks if case.status is not None else []
    return Facts(spec.shown, host, port, problem, next((each.detail for each in sinks if each.name == spec.name), None))


def judge(facts: Facts) -> list[Finding]:
    if facts.shown is None:
        return [skip("no broker is configured")]
    if facts.problem is not None:
        text = f"{facts.shown} cannot be reached: {facts.problem}"
        return [fail(text, f"nc -vz {facts.host} {facts.port}; on the broker: systemctl status mosquitto")]
    if facts.said is not None:
        return [warn(f"{facts.shown}: {facts.said}", "ncsctl events")]
    return [passed(f"{facts.shown} answers")]

"""Whether the fallback could serve: its runtime starts and the graphs load on it, tried in a process of its own."""

from __future__ import annotations

from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.settings import try_graphs

LIMIT_S = 6.0
REMEDY = "leave out --fallback and [fallback], or replace the graph: ncsctl graphs list"


class Facts(NamedTuple):
    backend: str | None
    """None where there is no fallback."""
    shown: str
    names: list[str]
    problem: str | None
    """Why it cannot load one of the graphs."""
    ready: bool | None
    """Whether that of the running daemon can serve at once; None: no daemon runs, or it has none."""
    standby: bool


def probe(case: Case) -> Facts:
    spec, names = case.settings.fallback, [str(graph.name) for graph in case.settings.graphs]
    if spec is None:
        return Facts(None, "", names, None, None, True)
    stick = spec.pool.sticks[0]
    running = case.status.fallback if case.status is not None else None
    problem = None
    if names and (running is None or not running.ready):
        problem = try_graphs(case.settings, stick.backend, stick.runtime, case.patience * LIMIT_S)
    return Facts(stick.backend, spec.shown, names, problem, None if running is None else running.ready, spec.standby)


def judge(facts: Facts) -> list[Finding]:
    if facts.backend is None:
        return [skip("no fallback is configured")]
    if facts.problem is not None and "takes longer" in facts.problem:
        return [warn(f"{facts.shown}: not tried to the end: {facts.problem}", "sudo ncsctl doctor fallback --patience 5")]
    if facts.problem is not None:
        return [fail(f"{facts.shown} cannot take over: {facts.problem}", REMEDY)]
    if facts.ready is False and facts.standby:
        return [
            warn(
                f"{facts.shown} does not stand by, though it could load the graphs", "ncsctl status; ncsctl events --level warning"
            )
        ]
    if not facts.names:
        return [skip("no graph is used")]
    return [passed(f"{facts.shown} can take over: {', '.join(facts.names)} loaded for backend {facts.backend}")]

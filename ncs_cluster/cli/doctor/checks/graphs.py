"""Whether the graphs can be loaded by the backend that runs them, tried in a process of its own as the daemon does at its start."""

from __future__ import annotations

from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.settings import try_graphs

LIMIT_S = 6.0


class Facts(NamedTuple):
    names: list[str]
    refused: str | None
    """The daemon's line about a graph that is missing, or not compiled for a stick."""
    tried: dict[str, str | None]
    """Backend -> why it cannot load one of them, or None. Empty: nothing was tried."""
    served: list[str] | None
    """Graphs of the running daemon, which has loaded them."""


def probe(case: Case) -> Facts:
    settings, refused = case.settings, case.read.refused.get("graphs")
    names = [str(graph.name) for graph in settings.graphs]
    if case.status is not None:
        return Facts(names, refused, {}, case.status.graphs)
    drivers = {(stick.backend, stick.runtime) for stick in settings.sticks}
    drivers |= {(found.backend, found.runtime) for found in settings.discoveries}
    tried = (
        {backend: try_graphs(settings, backend, runtime, case.patience * LIMIT_S) for backend, runtime in sorted(drivers)}
        if names
        else {}
    )
    return Facts(names, refused, tried, None)


def judge(facts: Facts) -> list[Finding]:
    if facts.refused is not None:
        _, marked, command = facts.refused.partition("with: ")
        return [fail(facts.refused, command if marked else "ncsctl graphs list")]
    if facts.served is not None:
        return [passed(f"the daemon has loaded {', '.join(facts.served) or 'no graph'}")]
    if not facts.names:
        return [skip("no graph is used")]
    return [_tried(facts.names, backend, problem) for backend, problem in facts.tried.items()] or [skip("no stick would run them")]


def _tried(names: list[str], backend: str, problem: str | None) -> Finding:
    if problem is None:
        return passed(f"{', '.join(names)}: loaded for backend {backend}")
    remedy = "; ".join(f"ncsctl graphs check {name}" for name in names if name in problem) or f"ncsctl graphs check {names[0]}"
    if "takes longer" in problem:
        return warn(
            problem.partition(":")[0] + f": not loaded for backend {backend}: {problem.partition(': ')[2].partition(': is')[0]}",
            remedy,
        )
    return fail(f"backend {backend}: {problem}", remedy)

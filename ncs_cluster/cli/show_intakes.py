"""The part of `ncsctl status` about intakes: structs in, lines out, no I/O."""

from __future__ import annotations

from ncs_cluster.cli.text import UNKNOWN, Cell, duration, number, printable, table
from ncs_cluster.status import IntakeStatus
from ncs_cluster.types import IntakeClient

Lines = list[list[Cell]]
STATE = {"running": "good", "open": "good", "starting": "dim"}


def listed(intakes: list[IntakeStatus]) -> Lines:
    """Intakes, then the clients of all of them and what is strange about these."""
    rows = [_intake(intake) for intake in intakes]
    lines = table(["INTAKE", "ADDRESS", "STATE", "ANSWERS/s", "p50/p99 ms", "ANSWERED", "FAILED"], rows, (3, 4, 5, 6))
    if clients := [(intake, client) for intake in intakes for client in intake.clients]:
        told = [_client(intake, client) for intake, client in clients]
        lines += [[], *table(["CLIENT", "OF", "FRAMES", "ANSWERED", "SHED", "LATE", "HANDSHAKES", "SEEN"], told, (2, 3, 4, 5, 6))]
        for _, client in clients:
            if client.detail:
                lines.append([Cell(f"  {printable(client.name)}: {printable(client.detail)}", "warn")])
    return lines


def _intake(intake: IntakeStatus) -> list[Cell]:
    latency = intake.latency_ms
    return [
        Cell(printable(intake.name)),
        Cell(printable(intake.address or UNKNOWN)),
        Cell(printable(intake.state), STATE.get(intake.state, "warn")),
        Cell(number(intake.fps, ".1f")),
        Cell(f"{number(latency.p50)}/{number(latency.p99)}"),
        Cell(str(intake.answered)),
        Cell(str(intake.failed), "warn" if intake.failed else ""),
    ]


def _client(intake: IntakeStatus, client: IntakeClient) -> list[Cell]:
    return [
        Cell(printable(client.name)),
        Cell(printable(intake.name)),
        Cell(str(client.asked)),
        Cell(str(client.answered)),
        Cell(str(client.shed), "warn" if client.shed else ""),
        Cell(str(client.late), "warn" if client.late else ""),
        Cell(str(client.handshakes)),
        Cell("now" if client.seen_s < 10 else f"{duration(client.seen_s)} ago"),
    ]

"""Text of `ncsctl status -o wide`: one row for each stick, of any width. Structs in, lines out, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncs_cluster.cli.text import UNKNOWN, Cell, number, printable, table

if TYPE_CHECKING:
    from ncs_cluster.status import Status, StickStatus

Lines = list[list[Cell]]

NAMES = ["STICK", "NAME", "PORT", "USB", "POOL", "BACKEND", "RUNTIME", "FIRMWARE", "STATE"]
FIGURES = ["TEMP", "LIMIT", "DUTY", "FPS", "MS P50/P99", "IN FLIGHT", "INFERENCES", "FAILED", "BOOTS", "RESETS", "RESTARTS", "PID"]
HEAD = [*NAMES, *FIGURES]
USB_3_MBPS = 5000.0


def wide(document: Status) -> Lines:
    """The table of sticks, in ring order."""
    if not document.sticks:
        return [[Cell("no stick", "bad")]]
    return table(HEAD, [_row(stick) for stick in document.sticks], right=range(len(NAMES), len(HEAD)))


def _row(stick: StickStatus) -> list[Cell]:
    latency, most = stick.latency_ms, stick.max_in_flight
    slow_link = stick.usb_mbps is not None and stick.usb_mbps < USB_3_MBPS
    return [
        Cell(stick.id),
        Cell(_word(stick.name)),
        Cell(_word(stick.port)),
        Cell(number(stick.usb_mbps, "g", " Mb/s"), "warn" if slow_link else ""),
        Cell(_word(stick.pool)),
        Cell(_word(stick.backend)),
        Cell(_word(stick.runtime)),
        Cell(_word(stick.firmware)),
        Cell(stick.state),
        Cell(number(stick.temperature_c, ".1f", " °C")),
        Cell(number(stick.limit_c, ".1f", " °C")),
        Cell(UNKNOWN if stick.duty is None else f"{100 * stick.duty:.0f} %"),
        Cell(number(stick.fps, ".1f")),
        Cell(UNKNOWN if latency.p50 is None else f"{number(latency.p50)}/{number(latency.p99)}"),
        Cell(str(stick.in_flight) if most is None else f"{stick.in_flight}/{most}"),
        Cell(str(stick.inferences)),
        _trouble(stick.failed),
        Cell(str(stick.boots)),
        _trouble(stick.resets),
        _trouble(stick.restarts),
        Cell(UNKNOWN if stick.pid is None else str(stick.pid)),
    ]


def _trouble(count: int) -> Cell:
    return Cell(str(count), "warn" if count else "")


def _word(text: str | None) -> str:
    return printable(text) if text else UNKNOWN

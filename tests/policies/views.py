"""What a policy is shown in its tests."""

from __future__ import annotations

from ncs_cluster.policies.base import StickView, View
from ncs_cluster.types import StickId

HOT = "is too hot (70.0 °C)"


def view(
    now_s: float,
    *readings_c: float | None,
    size: int = 0,
    worked_s: float = 0.0,
    hot: tuple[int, ...] = (),
    away: tuple[int, ...] = (),
    throttled: tuple[int, ...] = (),
    limit_c: float = 65.0,
) -> View:
    """Sticks numbered from 1, each just read; None: it has no sensor."""
    return View(
        now_s,
        [
            StickView(
                StickId(str(number)),
                number not in away,
                number in hot,
                value_c,
                HOT if number in hot else "",
                value_c,
                None if value_c is None else now_s,
                worked_s,
                int(number in throttled),
            )
            for number, value_c in enumerate(readings_c, start=1)
        ],
        size,
        limit_c,
    )

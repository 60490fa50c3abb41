"""Who uses the APIs: the figures of each client, by its address and the API that it asks. Pure: time is an argument.

The table is bounded, since a client may have many addresses; the client that was heard least recently goes first.
"""

from __future__ import annotations

from ncs_cluster.types import IntakeClient

MOST_CLIENTS = 32
QUIET_STEP_S = 10.0
"""Steps of a client's `seen_s`: what does not change is not sent."""
LONGEST_DETAIL = 200


class Figures:
    """What a client did. `open`: requests that wait for their answer."""

    def __init__(self, name: str, now_s: float) -> None:
        self.name, self.heard_s = name, now_s
        self.asked = self.open = self.answered = self.shed = self.late = 0
        self.detail = ""
        """Of the last request without an answer."""


class Clients:
    """All clients."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], Figures] = {}

    def heard(self, address: str, api: str, now_s: float) -> Figures:
        """The client that has sent a request."""
        figures = self._clients.get((address, api))
        if figures is None:
            if len(self._clients) >= MOST_CLIENTS:
                del self._clients[min(self._clients, key=lambda key: self._clients[key].heard_s)]
            figures = self._clients[address, api] = Figures(f"{address or 'local'} {api}", now_s)
        figures.heard_s = now_s
        return figures

    def report(self, now_s: float) -> list[IntakeClient]:
        """The figures for status, the client that came first at the front."""
        return [_told(figures, now_s) for figures in self._clients.values()]


def _told(figures: Figures, now_s: float) -> IntakeClient:
    unanswered = figures.asked - figures.open - figures.answered
    return IntakeClient(
        name=figures.name,
        asked=figures.asked,
        answered=figures.answered,
        shed=figures.shed,
        late=figures.late,
        seen_s=(now_s - figures.heard_s) // QUIET_STEP_S * QUIET_STEP_S,
        detail=f"{unanswered} without an answer, the last: {figures.detail[:LONGEST_DETAIL]}" if unanswered else None,
    )

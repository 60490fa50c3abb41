"""Who uses the detector: connections, and the figures of each client.

Frigate throws a connection away after every answer that came too late, so what it is and did is kept by the address it comes from
and the model it asks for. Both tables are bounded: whoever can connect can make connections.
"""

from __future__ import annotations

from collections import OrderedDict

from ncs_cluster.processes.frigate.protocol import Pixels
from ncs_cluster.types import IntakeClient

MOST_CONNECTIONS = 512
MOST_CLIENTS = 32
FIRST_FRAME_S = 30.0
QUIET_STEP_S = 10.0
"""Steps of a client's `seen_s`: what does not change is not sent."""


class Figures:
    """What a client did. `open`: frames that wait for their answer. `zeros`: frames that were answered with zeros without having
    been looked at; the late ones are among them."""

    def __init__(self, address: str, model: str, now_s: float) -> None:
        self.address, self.model = address, model
        self.graph = self.detail = ""
        self.handshakes = self.frames = self.open = self.late = self.zeros = 0
        self.first_s = self.heard_s = now_s

    def unanswered(self, detail: str, *, late: bool = False) -> None:
        """A frame was answered with zeros; `detail`: why."""
        self.zeros += 1
        self.late += late
        self.detail = detail


class Connection:
    """One socket of a client."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.pixels = Pixels()
        self.busy = False
        """A request of it is not answered yet: a REQ socket sends no other before."""


class Clients:
    """All connections by the identity that ZeroMQ gave them, and all clients."""

    def __init__(self) -> None:
        self._connections: OrderedDict[bytes, Connection] = OrderedDict()
        self._clients: OrderedDict[tuple[str, str], Figures] = OrderedDict()

    def heard(self, identity: bytes, address: str, now_s: float) -> Connection:
        """The connection that has sent a message."""
        connection = self._connections.get(identity)
        if connection is None:
            connection = self._connections[identity] = Connection(self._figures(address, "", now_s))
            if len(self._connections) > MOST_CONNECTIONS:
                self._connections.popitem(last=False)
        self._connections.move_to_end(identity)
        connection.figures.heard_s = now_s
        return connection

    def shook_hands(self, connection: Connection, model: str, now_s: float) -> None:
        """The connection has named its model, which makes it a connection of that client."""
        before = connection.figures
        connection.figures = self._figures(before.address, model, now_s)
        connection.figures.handshakes += 1
        if before.model == "" and not before.frames:
            # the row without a model was made by this handshake alone
            self._clients.pop((before.address, ""), None)

    def report(self, now_s: float) -> list[IntakeClient]:
        """The figures for status, the client that came first at the front."""
        return [_told(figures, now_s) for figures in self._clients.values()]

    def _figures(self, address: str, model: str, now_s: float) -> Figures:
        figures = self._clients.get((address, model))
        if figures is None:
            figures = self._clients[(address, model)] = Figures(address, model, now_s)
            if len(self._clients) > MOST_CLIENTS:
                oldest = min(self._clients, key=lambda key: self._clients[key].heard_s)
                del self._clients[oldest]
        figures.heard_s = now_s
        return figures


def _told(figures: Figures, now_s: float) -> IntakeClient:
    detail = None
    if figures.handshakes and not figures.frames and now_s - figures.first_s >= FIRST_FRAME_S:
        detail = "has shaken hands and never sent a frame: no camera of Frigate detects, or Frigate gave up; restart Frigate"
    elif figures.zeros:
        detail = f"{figures.zeros} frames answered with zeros, the last: {figures.detail}"
    return IntakeClient(
        name=" ".join(filter(None, [figures.address or "local", figures.model])),
        asked=figures.frames,
        answered=figures.frames - figures.zeros - figures.open,
        late=figures.late,
        seen_s=(now_s - figures.heard_s) // QUIET_STEP_S * QUIET_STEP_S,
        detail=detail,
        handshakes=figures.handshakes,
    )

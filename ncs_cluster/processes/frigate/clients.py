"""Who uses the detector: connections, and the figures of each client.

Frigate throws a connection away after every answer that came too late, so what it is and did is kept by the address it comes from
and the graph it asks for. Both tables are bounded, since a client can open any number of connections; a full one takes from the
address that has most of it, the oldest first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Optional

from ncs_cluster.processes.frigate.protocol import Pixels
from ncs_cluster.types import IntakeClient

MOST_CONNECTIONS = 512
MOST_CLIENTS = 32
FIRST_FRAME_S = 30.0
QUIET_STEP_S = 10.0
"""Steps of a client's `seen_s`: what does not change is not sent."""


class Figures:
    """What a client did. `graph`: what it asks for, "" where that is none of the daemon; `unknown`: what is to be told of that.
    `open`: frames that wait for their answer. `zeros`: frames that were answered with zeros without having been looked at; the late
    ones are among them."""

    def __init__(self, address: str, graph: str, now_s: float) -> None:
        self.address, self.graph = address, graph
        self.detail = self.unknown = ""
        self.handshakes = self.frames = self.open = self.late = self.zeros = 0
        self.first_s = self.heard_s = now_s

    def unanswered(self, detail: str, *, late: bool = False) -> None:
        """A frame was answered with zeros; `detail`: why."""
        self.zeros += 1
        self.late += late
        self.detail = detail


class Connection:
    """One socket of a client. `model`: what it has asked for, "" before; `graph`: what answers it."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.model = self.graph = ""
        self.handshakes = 0
        self.pixels = Pixels()
        self.busy = False
        """A request of it is not answered yet: a REQ socket sends no other before."""


class Clients:
    """All connections by the identity that ZeroMQ gave them, and all clients."""

    def __init__(self) -> None:
        self._connections: OrderedDict[bytes, Connection] = OrderedDict()
        self._clients: OrderedDict[tuple[str, str], Figures] = OrderedDict()

    def again(self, identity: bytes, now_s: float) -> Optional[Connection]:
        """The connection that has sent a message, where it has sent one before."""
        connection = self._connections.get(identity)
        if connection is not None:
            self._connections.move_to_end(identity)
            connection.figures.heard_s = now_s
        return connection

    def heard(self, identity: bytes, address: str, now_s: float) -> Connection:
        """The connection that has sent a message."""
        connection = self.again(identity, now_s)
        if connection is None:
            figures = self._clients.get((address, "")) or Figures(address, "", now_s)
            connection = self._connections[identity] = Connection(figures)
            if len(self._connections) > MOST_CONNECTIONS:
                most = _most(each.figures.address for each in self._connections.values())
                del self._connections[next(key for key, each in self._connections.items() if each.figures.address == most)]
            connection.figures.heard_s = now_s
        return connection

    def shook_hands(self, connection: Connection, model: str, now_s: float) -> None:
        """The connection has named its model."""
        address = connection.figures.address
        names = [name for name in (model, model.rpartition(".")[0]) if name and (address, name) in self._clients]
        if connection.model != model:
            connection.model, connection.graph, connection.handshakes = model, "", 0
            connection.figures = self._figures(address, next(iter(names), ""), now_s)
        connection.handshakes += 1
        self._counted(connection, now_s).handshakes += 1

    def sent_frame(self, connection: Connection, now_s: float) -> Figures:
        """The figures in which the frame counts."""
        figures = self._counted(connection, now_s)
        figures.frames += 1
        return figures

    def named(self, connection: Connection, graph: str, now_s: float) -> None:
        """The model of the connection is a graph of the daemon, which makes it a connection of that client. What is no graph makes
        no row: there is no end of such names."""
        before = connection.figures
        if before.graph == graph:
            return
        before.handshakes -= connection.handshakes
        if before.graph == "" and not before.frames and not before.handshakes:
            # the row without a graph was made by this handshake alone
            self._clients.pop((before.address, ""), None)
        figures = connection.figures = self._figures(before.address, graph, now_s)
        figures.handshakes += connection.handshakes

    def report(self, now_s: float) -> list[IntakeClient]:
        """The figures for status, the client that came first at the front."""
        return [_told(figures, now_s) for figures in self._clients.values()]

    def _counted(self, connection: Connection, now_s: float) -> Figures:
        """The figures of the connection, which have a row from now on."""
        figures = connection.figures = self._figures(connection.figures.address, connection.figures.graph, now_s)
        return figures

    def _figures(self, address: str, graph: str, now_s: float) -> Figures:
        figures = self._clients.get((address, graph))
        if figures is None:
            figures = self._clients[(address, graph)] = Figures(address, graph, now_s)
            if len(self._clients) > MOST_CLIENTS:
                most = _most(each for each, _ in self._clients)
                del self._clients[min((key for key in self._clients if key[0] == most), key=lambda key: self._clients[key].heard_s)]
        figures.heard_s = now_s
        return figures


def _most(addresses: Iterable[str]) -> str:
    """The address that comes most often, of several the first."""
    return Counter(addresses).most_common(1)[0][0]


def _told(figures: Figures, now_s: float) -> IntakeClient:
    detail = None
    if figures.handshakes and not figures.frames and now_s - figures.first_s >= FIRST_FRAME_S:
        detail = "has shaken hands and never sent a frame: no camera of Frigate detects, or Frigate gave up; restart Frigate"
    elif figures.zeros:
        detail = f"{figures.zeros} frames answered with zeros, the last: {figures.detail}"
    elif figures.unknown:
        detail = figures.unknown
    return IntakeClient(
        name=" ".join(filter(None, [figures.address or "local", figures.graph])),
        asked=figures.frames,
        answered=figures.frames - figures.zeros - figures.open,
        late=figures.late,
        seen_s=(now_s - figures.heard_s) // QUIET_STEP_S * QUIET_STEP_S,
        detail=detail,
        handshakes=figures.handshakes,
    )

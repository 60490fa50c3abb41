"""The host's session against a stick as the protocol's page tells it; hand-written sequences are the vendor's plugin's."""

from __future__ import annotations

import pytest

from ncs_cluster.xlink.session import Closed, Options, Ready, Result, Session
from tests.xlink import blobs
from tests.xlink.model import Model, carry

QUIET = Options(settle_s=1.0, thermal_s=None)


def opened(options: Options = QUIET, graphs: int = 1, model: Model | None = None) -> tuple[Session, Model]:
    model = model or Model()
    session = Session([blobs.small(4 + n) for n in range(graphs)], options)
    session.start(0.0)
    carry(session, model, 0.0)
    session.tick(1.0)
    carry(session, model, 1.0)
    return session, model


def requests(model: Model) -> list[tuple[str, str, int]]:
    """What the host asked for, without what it gave back."""
    return [(kind, name, size) for kind, name, size in model.log if kind != "READ_REL_REQ"]


def test_a_session_opens_allocates_infers_and_closes_in_the_order_of_the_vendors_plugin():
    session, model = opened()
    (ready,) = session.events()
    assert isinstance(ready, Ready)
    assert ready.depths == (4,)
    assert ready.capabilities.firmware == "444c4454.2480"
    size = len(blobs.small().data)
    assert requests(model) == [
        ("PING_REQ", "", 0),
        ("CREATE_STREAM_REQ", "deviceMonitor", 2048),
        ("WRITE_REQ", "deviceMonitor", 8),
        ("CREATE_STREAM_REQ", "graphMonitor", 4096),
        ("WRITE_REQ", "deviceMonitor", 8),
        ("WRITE_REQ", "deviceMonitor", 8),
        ("WRITE_REQ", "deviceMonitor", 8),
        ("CREATE_STREAM_REQ", "graphBuffer0", -(-size // 64) * 64),
        ("WRITE_REQ", "graphMonitor", 84),
        ("WRITE_REQ", "graphBuffer0", 132),
        ("WRITE_REQ", "graphMonitor", 84),
        ("WRITE_REQ", "graphBuffer0", size),
        ("WRITE_REQ", "graphMonitor", 84),
        ("CREATE_STREAM_REQ", "FIFO0", 4 * 48),
        ("WRITE_REQ", "graphMonitor", 100),
        ("CREATE_STREAM_REQ", "FIFO1", 64),
        ("WRITE_REQ", "graphMonitor", 100),
    ]
    assert sorted(model.commands) == [(1, 0), (4, 0), (6, 0), (8, 1)]
    model.log.clear()
    session.submit(7, 0, bytes(range(48)), 1.2)
    carry(session, model, 1.25)
    (result,) = session.events()
    assert isinstance(result, Result)
    assert (result.tag, result.graph, bytes(result.data)) == (7, 0, bytes(range(28)))
    assert result.latency_s == pytest.approx(0.05)
    session.close(1.3)
    carry(session, model, 1.3)
    assert session.events() == [Closed()]
    assert session.ended
    assert model.was_reset
    assert requests(model) == [
        ("WRITE_REQ", "FIFO0", 48),
        ("WRITE_REQ", "graphMonitor", 84),
        ("WRITE_REQ", "FIFO0", 4),
        ("WRITE_REQ", "graphMonitor", 8),
        ("CLOSE_STREAM_REQ", "FIFO0", 0),
        ("WRITE_REQ", "graphMonitor", 8),
        ("CLOSE_STREAM_REQ", "FIFO1", 0),
        ("WRITE_REQ", "graphMonitor", 84),
        ("CLOSE_STREAM_REQ", "graphBuffer0", 0),
        ("CLOSE_STREAM_REQ", "deviceMonitor", 0),
        ("CLOSE_STREAM_REQ", "graphMonitor", 0),
        ("RESET_REQ", "", 0),
    ]
    assert session.due_s is None

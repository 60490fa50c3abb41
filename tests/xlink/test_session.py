"""The host's session against a stick as the protocol's page tells it; hand-written sequences are the vendor's plugin's."""

from __future__ import annotations

import pytest

from ncs_cluster.xlink.events import Closed, Ready, Result
from ncs_cluster.xlink.session import Options, Session
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


def test_two_graphs_are_loaded_used_and_given_back_in_the_order_of_the_vendors_plugin():
    """Recorded from the plugin of OpenVINO 2021.4.2 with two networks on one stick: their numbers, streams and FIFOs go on."""
    session, model = opened(graphs=2)
    for graph in (0, 0, 1, 1):
        session.submit(1, graph, bytes(blobs.small(4 + graph).inputs_size), 1.0)
        carry(session, model, 1.0)
    session.close(1.0)
    carry(session, model, 1.0)
    spoken = [f"{kind.partition('_')[0]} {name}".rstrip() for kind, name, _ in requests(model) if name != "deviceMonitor"]
    load = [
        "CREATE graphBuffer{0}",
        *("WRITE graphMonitor", "WRITE graphBuffer{0}"),
        *("WRITE graphMonitor", "WRITE graphBuffer{0}"),
        "WRITE graphMonitor",
        *("CREATE FIFO{1}", "WRITE graphMonitor"),
        *("CREATE FIFO{2}", "WRITE graphMonitor"),
    ]
    infer = ["WRITE FIFO{1}", "WRITE graphMonitor"] * 2
    unload = [
        "WRITE FIFO{1}",
        *("WRITE graphMonitor", "CLOSE FIFO{1}"),
        *("WRITE graphMonitor", "CLOSE FIFO{2}"),
        *("WRITE graphMonitor", "CLOSE graphBuffer{0}"),
    ]
    both = [[line.format(*numbers) for numbers in ((0, 0, 1), (1, 2, 3)) for line in lines] for lines in (load, infer, unload)]
    assert spoken == ["PING", "CREATE graphMonitor", *both[0], *both[1], *both[2], "CLOSE graphMonitor", "RESET"]

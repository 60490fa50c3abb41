"""An open stream begins with an order of its own for each of its graphs."""

from __future__ import annotations

from ncs_cluster.core.ordering import LiveOrder, Reorder
from ncs_cluster.core.stream import Producer, Stream
from ncs_cluster.status import LatencyStatus
from tests.core.onecamera import CameraSetup


def producer() -> Producer:
    """A camera is one."""
    return CameraSetup().camera


def test_a_new_stream_has_published_nothing() -> None:
    feeds = producer()
    new = Stream("door", feeds, graphs=[0, 2])
    assert (new.name, new.producer, new.graphs, new.weight, new.ordered, new.sinks) == ("door", feeds, (0, 2), 1.0, False, None)
    assert (new.published, new.closing) == ({}, False)
    assert new.closing is False
    assert new.detection.per_s(0.0) == 0.0
    assert new.latency.status() == LatencyStatus(None, None)


def test_a_stream_keeps_what_it_was_opened_with() -> None:
    new = Stream("door", producer(), graphs=[1], weight=2.5, ordered=True, sinks=["a", "b"])
    assert (new.graphs, new.weight, new.ordered, new.sinks) == ((1,), 2.5, True, ["a", "b"])


def test_each_graph_of_a_stream_has_its_own_order() -> None:
    first, second = Stream("door", producer(), graphs=[0, 2]), Stream("hall", producer(), graphs=[0])
    assert (list(first.live_orders), list(first.reorders)) == ([0, 2], [0, 2])
    orders = [*first.live_orders.values(), *second.live_orders.values()]
    reorders = [*first.reorders.values(), *second.reorders.values()]
    assert [type(order) for order in orders] == [LiveOrder] * 3
    assert [type(reorder) for reorder in reorders] == [Reorder] * 3
    assert len({id(each) for each in orders + reorders}) == 6
    assert first.published is not second.published


def test_graphs_whose_result_an_earlier_run_has_written_are_not_due() -> None:
    new = Stream("door", producer(), graphs=[0, 2], written={0: 4, 2: 6})
    assert [new.due(frame) for frame in (4, 5, 6, 7, 5)] == [(), (0,), (0,), (0, 2), (0, 2)]
    assert Stream("door", producer(), graphs=[0, 2]).due(0) == (0, 2)

"""What the detector knows of its clients, and the notes that it gives of them: each once, both bounded."""

from __future__ import annotations

from ncs_cluster.processes.frigate import notes as notes_module
from ncs_cluster.processes.frigate.clients import FIRST_FRAME_S, MOST_CLIENTS, MOST_CONNECTIONS, Clients, Connection
from ncs_cluster.processes.frigate.notes import AGAIN_S, Notes


def test_notes_are_bounded_and_given_again_when_they_are_forgotten() -> None:
    given: list[str] = []
    notes = Notes(given.append)
    for at_s, text in ((0.0, "a"), (1.0, "a"), (2.0, "b"), (AGAIN_S - 0.1, "a"), (AGAIN_S, "a"), (AGAIN_S + 1.0, "b")):
        notes.once(text, at_s)
    assert given == ["a", "b", "a"]
    given.clear()
    for number in range(1000):
        notes.once(f"{number}", 2 * AGAIN_S + number / 1000)
    assert given == [*(f"{number}" for number in range(notes_module.MOST)), notes_module.LEFT_OUT]
    notes.once("0", 3 * AGAIN_S + 2.0)
    assert given[-1] == "0"


def test_notes_about_the_same_count_as_one_and_may_be_given_again_sooner() -> None:
    given: list[str] = []
    notes = Notes(given.append)
    for at_s in (0.0, 1.0, 60.0, 61.0):
        notes.once(f"at {at_s}", at_s, about="no stick", again_s=60.0)
    assert given == ["at 0.0", "at 60.0"]


def named(clients: Clients, identity: bytes, address: str, graph: str, now_s: float) -> Connection:
    """A connection that has asked for a graph of the daemon."""
    connection = clients.heard(identity, address, now_s)
    clients.shook_hands(connection, graph, now_s)
    clients.named(connection, graph, now_s)
    return connection


def test_a_client_that_shook_hands_and_sends_no_frame_is_told() -> None:
    clients = Clients()
    named(clients, b"1", "10.0.0.2", "demo", 100.0)
    assert clients.report(100.0 + FIRST_FRAME_S - 1)[0].detail is None
    assert "never sent a frame" in str(clients.report(100.0 + FIRST_FRAME_S)[0].detail)


def test_new_connections_of_the_same_place_and_graph_are_one_client() -> None:
    clients = Clients()
    for at in range(3):
        named(clients, b"%d" % at, "10.0.0.2", "demo", 40.0 * at)
    (told,) = clients.report(80.0)
    assert (told.name, told.handshakes, told.seen_s) == ("10.0.0.2 demo", 3, 0.0)
    assert clients.report(105.0)[0].seen_s == 20.0


def test_a_handshake_while_no_daemon_tells_its_graphs_belongs_to_the_client_that_is_known() -> None:
    clients = Clients()
    named(clients, b"1", "10.0.0.2", "demo", 0.0)
    for at, model in enumerate(("demo.onnx", "demo")):
        clients.shook_hands(clients.heard(b"new %d" % at, "10.0.0.2", 10.0), model, 10.0)
    assert [(each.name, each.handshakes) for each in clients.report(10.0)] == [("10.0.0.2 demo", 3)]
    for at in range(MOST_CLIENTS - 1):
        named(clients, b"other %d" % at, f"10.0.1.{at}", "demo", 20.0)
    clients.shook_hands(clients.heard(b"again", "10.0.0.2", 30.0), "demo", 30.0)
    assert clients.report(30.0)[0].handshakes == 4, "also where the table is full"


def test_a_connection_that_asks_for_another_graph_becomes_one_of_that_client() -> None:
    clients = Clients()
    connection = named(clients, b"1", "10.0.0.2", "demo", 0.0)
    named(clients, b"1", "10.0.0.2", "other", 0.0)
    clients.shook_hands(connection, "unknown", 0.0)
    assert [(each.name, each.handshakes) for each in clients.report(0.0)] == [
        ("10.0.0.2 demo", 1),
        ("10.0.0.2 other", 1),
        ("10.0.0.2", 1),
    ]


def test_an_address_with_too_many_connections_loses_its_own() -> None:
    """A connection that is forgotten has no model any more: the graph that answers it could be another."""
    clients = Clients()
    frigate = named(clients, b"frigate", "10.0.0.2", "demo", 0.0)
    for at in range(2 * MOST_CONNECTIONS):
        clients.heard(b"%d" % at, "10.0.0.66", 1.0 + at)
    assert clients.heard(b"frigate", "10.0.0.2", 5000.0) is frigate


def test_the_table_of_clients_is_bounded_and_the_address_with_the_most_loses_its_oldest() -> None:
    clients = Clients()
    for at in range(MOST_CLIENTS - 2):
        named(clients, b"true %d" % at, f"10.0.0.{at}", "demo", float(at))
    for at in range(5):
        named(clients, b"many %d" % at, "10.0.1.1", f"graph {at}", 100.0 + at)
    told = [each.name for each in clients.report(200.0)]
    assert told == [*(f"10.0.0.{at} demo" for at in range(MOST_CLIENTS - 2)), "10.0.1.1 graph 3", "10.0.1.1 graph 4"]
    for at in range(3):
        named(clients, b"more %d" % at, f"10.0.2.{at}", "demo", 300.0 + at)
    told = [each.name for each in clients.report(400.0)]
    assert len(told) == MOST_CLIENTS
    assert told[0] == "10.0.0.2 demo", "where all have one, the one that was heard least recently"

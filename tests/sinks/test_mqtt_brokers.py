"""Brokers that are away, hang, or do not keep to the protocol."""

from __future__ import annotations

from pathlib import Path
from socket import create_server, socket

import pytest

from ncs_cluster.sinks import _backoff, _mqtt_bounds, _mqtt_link
from ncs_cluster.sinks._backoff import Backoff
from tests.mosquitto import WAIT_S, broker
from tests.needs import need_module
from tests.sinks.onebroker import BASE, CONFIG, online, seen, sink
from tests.waiting import until


def test_records_are_taken_at_once_while_the_broker_is_away_and_the_newest_values_follow(tmp_path: Path) -> None:
    with broker(tmp_path) as place, sink(place.port) as opened:
        with place.listening() as listener:
            listener.until(online, "the start")
        place.kill()
        until(lambda: opened.trouble(), "the loss is noticed")
        for _ in range(1000):
            assert opened.write(seen("person")) == b""
        assert opened.write(seen("dog", "dog")) == b""
        why = f"the MQTT broker 127.0.0.1:{place.port} cannot be used: Connection refused"
        until(lambda: opened.trouble() == why, "the reason is told")
        place.start()
        with place.listening() as listener:
            found = listener.until(online, "everything again")
        assert (found[BASE + "camera/door/label/dog/occupancy"], found[BASE + "camera/door/label/dog/count"]) == (b"ON", b"2")
        assert found[BASE + "camera/door/label/person/count"] == b"0"
        assert CONFIG in found
        until(lambda: opened.trouble() is None, "the trouble is over")


def test_a_broker_that_hangs_is_told_of_and_is_no_reason_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mqtt_link, "KEEPALIVE_S", 1)
    with broker(tmp_path) as place, sink(place.port) as opened:
        with place.listening() as listener:
            listener.until(online, "the start")
        place.freeze()
        try:
            for _ in range(1000):
                opened.write(seen("person"))
            until(lambda: str(opened.trouble()).endswith("cannot be used: it does not answer"), "the hang is noticed")
        finally:
            place.thaw()
        until(lambda: opened.trouble() is None, "it is used again")


def test_a_broker_that_takes_no_more_bytes_gets_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mqtt_link, "STALLED_S", 0.5)
    with broker(tmp_path) as place, sink(place.port, image=True) as opened:
        with place.listening() as listener:
            listener.until(online, "the start")
        place.freeze()
        try:
            opened.write(seen("person"))
            for size in range(20):
                # larger than the buffers of a socket
                opened._home.picture("door", b"%d" % size * 4_000_000)
                opened._link.wake()
            until(lambda: "takes no messages" in str(opened.trouble()), "the jam is noticed")
        finally:
            place.thaw()
        until(lambda: opened.trouble() is None, "it is used again")


def test_a_topic_that_is_no_text_is_passed_over() -> None:
    """No broker that keeps to the protocol sends one."""
    need_module("paho.mqtt.client")
    with create_server(("127.0.0.1", 0)) as listener, sink(listener.getsockname()[1]):
        listener.settimeout(WAIT_S)
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(WAIT_S)
            assert_comes(peer, b"MQTT")
            peer.sendall(b"\x20\x02\x00\x00" + b"\x31\x05\x00\x02\xff\xfe1")
            assert_comes(peer, b"homeassistant/status")
            peer.sendall(b"\x90\x04\x00\x01\x00\x00" + b"\x90\x03\x00\x02\x00")
            assert_comes(peer, BASE.encode() + b"availabilityonline")


def test_what_the_broker_has_of_an_earlier_daemon_keeps_nobody_from_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be more than comes in time; here the connection ends before it is there."""
    need_module("paho.mqtt.client")
    monkeypatch.setattr(_backoff, "FIRST_WAIT_S", 0.01)
    with create_server(("127.0.0.1", 0)) as listener, sink(listener.getsockname()[1]):
        listener.settimeout(WAIT_S)
        for _ in range(_mqtt_link.MOST_ADOPTIONS):
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(WAIT_S)
                assert_comes(peer, b"MQTT")
                peer.sendall(b"\x20\x02\x00\x00")
                assert_comes(peer, BASE.encode() + b"#")
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(WAIT_S)
            assert_comes(peer, b"MQTT")
            peer.sendall(b"\x20\x02\x00\x00")
            assert_comes(peer, b"\x00\x01\x00\x14homeassistant/status")
            peer.sendall(b"\x90\x03\x00\x01\x00")
            assert_comes(peer, BASE.encode() + b"availabilityonline")


def told_of(header: bytes) -> str:
    """What is told of a broker that sends a packet which begins so and does not end; its connection is ended."""
    need_module("paho.mqtt.client")
    with create_server(("127.0.0.1", 0)) as listener, sink(listener.getsockname()[1]) as opened:
        listener.settimeout(WAIT_S)
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(WAIT_S)
            assert_comes(peer, b"MQTT")
            peer.sendall(b"\x20\x02\x00\x00" + header)
            with pytest.raises(ConnectionError):
                # more than the buffers of two sockets hold
                peer.sendall(bytes(64 * 1024 * 1024))
        until(lambda: opened.trouble(), "the broker is told of")
        start = f"the MQTT broker 127.0.0.1:{listener.getsockname()[1]} cannot be used: "
        assert str(opened.trouble()).startswith(start)
        return str(opened.trouble()).removeprefix(start)


def test_a_broker_that_declares_a_huge_packet_is_left_before_it_is_read() -> None:
    most = _mqtt_bounds.MOST_PACKET
    for kind in (b"\x31", b"\x90", b"\xd0", b"\x20"):
        assert told_of(kind + b"\xff\xff\xff\x7f") == f"it sends a packet of 268435455 bytes, and no more than {most} are read"
    assert told_of(b"\x31\x81\x80\x80\x04") == f"it sends a packet of {most + 1} bytes, and no more than {most} are read"


@pytest.mark.parametrize("quality", [b"\x32", b"\x34"])
def test_a_broker_that_sends_what_would_be_kept_until_it_asks_for_it_is_left(quality: bytes) -> None:
    """Nothing is subscribed to but with quality of service 0."""
    assert told_of(quality + b"\x80\x80\x04") == "it sends a message with a quality of service that was not asked for"


def test_a_picture_as_long_as_a_packet_may_be_keeps_nobody_from_connecting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mqtt_bounds, "MOST_PACKET", 500_000)
    topic = BASE + "camera/door/image"
    largest = 500_000 - 2 - len(topic)
    with broker(tmp_path) as place:
        with place.listening() as listener, sink(place.port, image=True) as opened:
            listener.until(online, "the start")
            opened._home.picture("door", b"\xff" * largest)
            opened._link.wake()
            listener.until(lambda found: len(found.get(topic, b"")) == largest, "the picture")
        with place.listening() as listener, sink(place.port, image=True) as opened:
            listener.until(online, "the start")
            until(lambda: opened._link._connected_s is not None, "the connection")
            assert (opened._link._adoptions, opened.trouble()) == (1, None)


def assert_comes(peer: socket, wanted: bytes) -> None:
    """The bytes come before the connection ends."""
    got = b""
    while wanted not in got:
        more = peer.recv(65536)
        assert more, f"the connection has ended before {wanted!r}"
        got += more


def test_waits_between_connections_double_up_to_half_a_minute_and_are_never_the_same_for_all() -> None:
    late = Backoff(lambda: 0.0)
    assert [late.next_s() for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    early = Backoff(lambda: 1.0)
    assert [early.next_s() for _ in range(3)] == [0.5, 1.0, 2.0]
    late.held(5.0)
    assert late.next_s() == 30.0, "a broker that ends each connection at once is no good one"
    late.held(3600.0)
    assert late.next_s() == 1.0


def test_two_daemons_that_use_one_node_are_told_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backoff, "FIRST_WAIT_S", 0.05)
    with broker(tmp_path) as place, sink(place.port) as one, sink(place.port) as other:
        until(
            lambda: any("does another daemon use the node pi?" in str(each.trouble()) for each in (one, other)),
            "each takes the connection from the other",
        )

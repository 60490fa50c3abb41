"""The control socket: who is served when, who is disconnected, and what a client may cost."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ncs_cluster import control_messages as c
from ncs_cluster.errors import ConfigError
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET
from ncs_cluster.processes import control
from ncs_cluster.processes.client_link import READ_WITHIN_S
from ncs_cluster.processes.control import BURST_S, MAX_CLIENTS, MAX_SILENT, SHARE, ControlSocket
from ncs_cluster.processes.loop import Loop

ASK = msgspec.msgpack.encode(c.AskStatus())


class Rig:
    """A socket whose requests are kept, at a time that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.loop = Loop()
        self.asked: list[str] = []
        self.left: list[str] = []
        self.control = ControlSocket(folder, self.loop, lambda client, _: self.asked.append(client), self.left.append)
        self.path = os.fspath(folder / CONTROL_SOCKET)
        self.sockets: list[socket.socket] = []

    def connect(self) -> socket.socket:
        """A connection that is accepted. The first is client "1"."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(60)
        self.sockets.append(sock)
        sock.connect(self.path)
        self.control.serve(0.0)
        return sock

    @property
    def offered(self) -> bool:
        """Whether the loop would serve clients now."""
        self.control.offered = False
        self.loop.turn(0.0)
        return self.control.offered


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.control.close()
    made.loop.close()
    for sock in made.sockets:
        sock.close()


def test_a_new_client_and_a_known_one_are_served_in_turn(rig: Rig) -> None:
    known = rig.connect()
    news = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
    for sock in news:
        sock.connect(rig.path)
        sock.send(ASK)
        known.send(ASK)
    rig.sockets += news
    for _ in range(6):
        rig.control.serve(0.0)
    assert rig.asked == ["1", "2", "1", "3", "1", "4"]


def test_one_request_is_served_in_each_turn_of_the_client_that_waits_longest(rig: Rig) -> None:
    first, second = rig.connect(), rig.connect()
    for _ in range(3):
        first.send(ASK)
    second.send(ASK)
    for turn in range(5):
        rig.control.serve(float(turn))
        assert len(rig.asked) == min(turn + 1, 4)
    assert rig.asked == ["1", "2", "1", "1"]
    assert not rig.offered, "nothing is left to do"


def test_clients_wait_when_they_have_cost_more_than_their_share(rig: Rig) -> None:
    rig.connect().send(ASK)
    rig.control.charge(BURST_S, 100.0)
    assert rig.offered, "a burst after a quiet time is free"
    rig.control.charge(0.01, 100.0)
    assert not rig.offered
    assert rig.control.deadline_s == pytest.approx(100.0 + 0.01 / SHARE)
    rig.control.wake(100.0 + 0.01 / SHARE - 0.001)
    assert not rig.offered
    rig.control.wake(100.0 + 0.01 / SHARE)
    assert rig.offered
    assert rig.control.deadline_s is None


def test_a_client_that_does_not_read_is_not_heard_and_disconnected_after_five_seconds(rig: Rig) -> None:
    sock = rig.connect()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sock.send(ASK)
    rig.control.serve(1.0)
    sent = 0
    while rig.control.deadline_s is None:
        rig.control.reply("1", b"x" * 100_000, 1.0)
        sent += 1
    sock.send(ASK)
    rig.control.serve(2.0)
    assert rig.asked == ["1"], "its next request waits"
    rig.control.wake(1.0 + READ_WITHIN_S - 0.01)
    assert rig.left == []
    for _ in range(sent):
        assert len(sock.recv(200_000)) > 100_000
        rig.control.serve(3.0)
    rig.control.serve(3.0)
    assert (rig.asked, rig.control.deadline_s) == (["1", "1"], None), "it reads again, and is heard again"
    while rig.control.deadline_s is None:
        rig.control.reply("1", b"x" * 100_000, 4.0)
    rig.control.wake(4.0 + READ_WITHIN_S)
    assert rig.left == ["1"]


def test_what_waits_for_a_client_is_bounded_in_bytes(rig: Rig) -> None:
    rig.connect()
    replies = 0
    while not rig.left:
        rig.control.reply("1", b"x" * 100_000, 1.0)
        replies += 1
    assert 5 <= replies <= 8


def test_connections_without_a_request_take_no_place_of_a_client_that_has_asked(rig: Rig) -> None:
    asking = rig.connect()
    asking.send(ASK)
    rig.control.serve(0.0)
    for _ in range(MAX_SILENT + 5):
        rig.connect()
    assert rig.left == ["2", "3", "4", "5", "6"], "the oldest silent ones go"
    asking.send(ASK)
    rig.control.serve(0.0)
    assert rig.asked == ["1", "1"]


def test_a_client_too_many_takes_the_place_of_the_one_whose_request_is_the_oldest(rig: Rig) -> None:
    clients = []
    for _ in range(MAX_CLIENTS):
        clients.append(rig.connect())
        clients[-1].send(ASK)
        rig.control.serve(0.0)
    clients[0].send(ASK)
    rig.control.serve(0.0)
    rig.connect().send(ASK)
    rig.control.serve(0.0)
    assert rig.left == ["2"]


def test_without_a_descriptor_silent_clients_go_first_and_accepting_pauses_when_there_is_none(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = rig.connect()
    asking.send(ASK)
    rig.control.serve(0.0)
    rig.connect()
    assert (rig.control.shed(), rig.left) == (True, ["2"])
    assert (rig.control.shed(), rig.left) == (True, ["2", "1"])
    assert rig.control.shed() is False
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    rig.connect()
    free = os.dup(0)
    os.close(free)
    # one more for the client's own end, and the next is too many
    monkeypatch.setattr(control, "RESERVED", limit - free - 1)
    second = rig.connect()
    assert rig.left == ["2", "1", "3"], "a new client is served, and takes the place of another"
    second.send(ASK)
    rig.control.serve(0.0)
    assert rig.asked[-1] == "4"
    monkeypatch.setattr(control, "RESERVED", limit)
    assert rig.connect().recv(1) == b"", "the last descriptors are for children"


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_lies_under_its_name_is_replaced_or_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / CONTROL_SOCKET
    if kind == "folder":
        path.mkdir()
        with pytest.raises(ConfigError, match=rf"control socket {path} cannot be created .*; remove {path}$"):
            Rig(tmp_path)
        return
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text("old")
    rig = Rig(tmp_path)
    rig.connect().close()
    rig.control.close()
    rig.loop.close()
    assert not path.exists()


def test_the_user_of_a_client_is_known(rig: Rig) -> None:
    rig.connect()
    assert rig.control.uid("1") == os.getuid()

"""The place at which a process waits for the next supervisor."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core.events import Endpoint
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.processes import resident
from ncs_cluster.processes.process import Process, describe_exit
from ncs_cluster.specs import IntakeSpec
from ncs_cluster.testing.daemon import settings, sticks

FRIGATE = Endpoint("intake", "frigate")


def test_intakes_that_name_a_socket_are_residents(tmp_path: Path) -> None:
    named = IntakeSpec("frigate", {"socket": "/run/x"}, "")
    given = settings(tmp_path, sticks(1), [], intakes=[named, IntakeSpec("other", {}, "")])
    assert resident.residents(given) == {FRIGATE: Path("/run/x")}


def test_nobody_is_found_where_nobody_waits(tmp_path: Path) -> None:
    assert resident.found(FRIGATE, tmp_path / "gone") is None
    resident.listen(tmp_path / "left").close()
    assert (tmp_path / "left").is_socket()
    assert resident.found(FRIGATE, tmp_path / "left") is None


def test_who_waits_is_found_with_its_process_id_and_a_channel(tmp_path: Path) -> None:
    with resident.listen(tmp_path / "place") as listener:
        assert stat.S_IMODE((tmp_path / "place").stat().st_mode) == 0o700
        process = resident.found(FRIGATE, tmp_path / "place")
        assert process is not None
        assert process.pid == os.getpid()
        sock, _ = listener.accept()
        Channel(sock, m.ToIntakeProcess).send(m.Heartbeat())
        assert process.channel.receive_message() == m.Heartbeat()
        process.release()
        process.channel.close()
        sock.close()


def test_the_end_of_a_process_that_another_daemon_has_started_is_no_exit_code() -> None:
    parent = subprocess.Popen(["/bin/sleep", "600"])
    process = Process(FRIGATE)
    process.started(parent.pid)
    assert process.poll() is None
    process.kill()
    parent.wait(60)
    code = process.poll()
    assert code is not None
    assert describe_exit(code) == "an earlier daemon had started it: why is not known"
    assert process.reap() == code
    process.channel.close()


def test_a_place_where_another_process_waits_is_not_taken_and_one_that_was_left_is(tmp_path: Path) -> None:
    with resident.listen(tmp_path / "place"), pytest.raises(FileExistsError, match=f"process {os.getpid()} serves it already"):
        resident.listen(tmp_path / "place")
    resident.listen(tmp_path / "place").close()


def test_the_process_of_another_user_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with resident.listen(tmp_path / "place"):
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        with pytest.raises(PermissionError, match=f"belongs to user {os.getuid()}: run both as one user"):
            resident.found(FRIGATE, tmp_path / "place")

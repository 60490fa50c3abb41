"""One daemon per runtime directory."""

from __future__ import annotations

from pathlib import Path

from ncs_cluster.testing.daemon import Daemon, running, settings, sticks, synthetic


def test_a_second_daemon_refuses_names_the_first_and_does_not_disturb_it(tmp_path: Path) -> None:
    """Exit code 78 and one line."""
    asked = settings(tmp_path, sticks(2), [synthetic()])
    with running(asked) as first:
        before = first.well()
        second = Daemon(asked)
        said_before = first.log.read_text()
        assert second.wait(60.0) == 78
        complaint = [line for line in first.log.read_text()[len(said_before) :].splitlines() if "another ncs-clusterd" in line]
        assert len(complaint) == 1
        assert f"(pid {first.pid})" in complaint[0]
        assert str(tmp_path) in complaint[0]
        after = first.well()
        assert after["daemon"]["pid"] == first.pid
        assert [process["pid"] for process in after["processes"]] == [process["pid"] for process in before["processes"]]

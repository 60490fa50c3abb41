"""What a part of the core may ask of the daemon is what the engine offers."""

from __future__ import annotations

from ncs_cluster.core.actions import Exit
from ncs_cluster.core.daemon import Daemon
from ncs_cluster.core.engine import Engine
from ncs_cluster.testing.world import installation
from tests.core.onecamera import FakeDaemon


def test_the_engine_is_the_daemon_of_its_parts() -> None:
    engine = Engine(installation(1), 1000.0)
    engine.start(1000.0)
    daemon: Daemon = engine
    assert daemon.stopping is False
    assert daemon.refuse("cam0", "no such file")[-1] == Exit(78)
    daemon.stop(1001.0)
    assert daemon.stopping is True
    assert daemon.stop(1002.0)[-1] == Exit(0)


def test_the_daemon_of_these_tests_is_one_too() -> None:
    daemon: Daemon = FakeDaemon()
    assert (daemon.stopping, len(daemon.stop(1.0)), len(daemon.refuse("", ""))) == (False, 1, 1)

"""The lock of the vendor's plugin, waited for beside the work."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncs_cluster.backends import _mvnc_lock
from ncs_cluster.backends._thermometer import Thermometer
from ncs_cluster.errors import StickError


@pytest.fixture
def mutex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mvnc.mutex"
    monkeypatch.setattr(_mvnc_lock, "PATH", os.fspath(path))
    return path


@pytest.fixture
def plugins_own(mutex: Path) -> Iterator[int]:
    """The descriptor the plugin in this process has opened."""
    fd = os.open(mutex, os.O_RDWR | os.O_CREAT, 0o640)
    yield fd
    os.close(fd)


def held_by_another(mutex: Path) -> int:
    fd = os.open(mutex, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def test_the_file_is_made_for_everybody_whatever_the_umask(mutex: Path) -> None:
    before = os.umask(0o077)
    try:
        _mvnc_lock.prepare()
    finally:
        os.umask(before)
    assert mutex.stat().st_mode & 0o777 == 0o666


def test_a_file_that_cannot_be_used_is_an_error_that_names_it(mutex: Path) -> None:
    mutex.mkdir()
    with pytest.raises(StickError, match=r"mvnc\.mutex.*remove it") as caught:
        _mvnc_lock.prepare()
    assert caught.value.reason == "open"


def test_while_another_holds_it_a_thread_waits_and_nobody_else(mutex: Path, plugins_own: int) -> None:
    other = held_by_another(mutex)
    thermometer = Thermometer(lambda: 41.5)
    assert thermometer.newest() is None
    os.close(other)
    newest = thermometer.newest(wait_s=10)
    assert newest is not None
    assert newest[0] == 41.5
    thermometer.end()


def test_for_the_length_of_the_block_nobody_else_can_take_it_but_the_plugin_can(mutex: Path, plugins_own: int) -> None:
    with _mvnc_lock.held():
        with pytest.raises(BlockingIOError):
            held_by_another(mutex)
        fcntl.flock(plugins_own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(held_by_another(mutex))


def test_a_plugin_that_has_not_opened_its_lock_is_not_held_up(mutex: Path) -> None:
    with _mvnc_lock.held():
        pass


def test_a_stick_that_is_gone_is_told_to_whoever_asks(mutex: Path) -> None:
    def gone() -> float:
        raise RuntimeError("gone")

    thermometer = Thermometer(gone)
    with pytest.raises(RuntimeError, match="gone"):
        thermometer.newest(wait_s=10)

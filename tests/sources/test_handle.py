"""A device is released exactly once, by whoever leaves last, and never under somebody's feet."""

from __future__ import annotations

import threading

import pytest

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._handle import Handle


class Device:
    def __init__(self) -> None:
        self.inside = 0
        self.released = 0


def release(device: Device) -> None:
    assert device.inside == 0, "released while somebody was inside"
    device.released += 1


def test_closing_an_idle_device_releases_it_once() -> None:
    handle: Handle[Device] = Handle(release)
    device = handle.open(Device)
    handle.close()
    handle.close()
    assert device.released == 1


def test_closing_during_use_returns_at_once_and_the_user_releases_on_its_way_out() -> None:
    handle: Handle[Device] = Handle(release)
    device = handle.open(Device)
    with handle.using() as same:
        assert same is device
        closer = threading.Thread(target=handle.close)
        closer.start()
        closer.join(timeout=60)
        assert not closer.is_alive()
        assert device.released == 0
    assert device.released == 1
    with pytest.raises(SourceError), handle.using():
        pass


def test_opening_again_after_a_close_works_and_releases_what_was_open() -> None:
    handle: Handle[Device] = Handle(release)
    first, second = handle.open(Device), handle.open(Device)
    assert (first.released, second.released) == (1, 0)
    with handle.using() as device:
        assert device is second
    handle.close()
    assert second.released == 1


def test_a_device_that_cannot_be_opened_leaves_the_handle_closed() -> None:
    def refuse() -> Device:
        raise SourceError("away")

    handle: Handle[Device] = Handle(release)
    with pytest.raises(SourceError, match="away"):
        handle.open(refuse)
    with pytest.raises(SourceError, match="closed"), handle.using():
        pass


def test_closing_while_it_is_being_opened_releases_what_was_opened() -> None:
    handle: Handle[Device] = Handle(release)
    device = Device()

    def open_slowly() -> Device:
        closer = threading.Thread(target=handle.close)
        closer.start()
        closer.join(timeout=60)
        assert not closer.is_alive()
        return device

    with pytest.raises(SourceError, match="closed while"):
        handle.open(open_slowly)
    assert device.released == 1


def test_users_and_closers_racing_release_every_device_exactly_once() -> None:
    handle: Handle[Device] = Handle(release)
    devices, done = [], threading.Event()

    def use() -> None:
        while not done.is_set():
            try:
                with handle.using() as device:
                    device.inside += 1
                    try:
                        handle.pause(0)
                    finally:
                        device.inside -= 1
            except SourceError:
                pass

    def close() -> None:
        while not done.is_set():
            handle.close()

    threads = [threading.Thread(target=use), threading.Thread(target=close)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            try:
                devices.append(handle.open(Device))
            except SourceError:
                continue
    finally:
        done.set()
        for thread in threads:
            thread.join(timeout=60)
    handle.close()
    assert devices
    assert all(device.released == 1 for device in devices)

"""Pixels in shared memory: sealed, typed by their layout, read-only for readers; a ring that never shows half a picture."""

from __future__ import annotations

import mmap
import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.ipc import memory, pictures, pool
from ncs_cluster.ipc.pictures import PictureRing
from ncs_cluster.ipc.pool import FramePool
from ncs_cluster.types import CameraName, FrameRef, PoolLayout
from tests.hypothesis_profiles import examples

LAYOUT = PoolLayout(1, 3, 64, 48, 0.001)


def both(layout: PoolLayout = LAYOUT) -> tuple[FramePool, FramePool]:
    """The camera's and a worker's mapping of one pool."""
    fd = pool.create(layout)
    return FramePool(os.dup(fd), layout, writable=True), FramePool(fd, layout, writable=False)


def ring(slots: int = 4, width: int = 16, height: int = 8) -> tuple[PictureRing, PictureRing]:
    fd = pictures.create(slots, width, height)
    return (
        PictureRing(os.dup(fd), slots, width, height, writable=True),
        PictureRing(fd, slots, width, height, writable=False),
    )


def test_memory_cannot_shrink_or_grow_under_its_readers() -> None:
    fd = memory.create("test", 8192)
    for size in (0, 4096, 100_000):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    os.close(fd)


def test_memory_smaller_than_its_layout_is_refused() -> None:
    fd = memory.create("test", 4096)
    with pytest.raises(ValueError, match="smaller"):
        memory.attach(fd, 8192, writable=False)
    os.close(fd)


def test_memory_leaves_no_name_behind() -> None:
    fd = pool.create(LAYOUT)
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)


def test_what_the_camera_writes_the_worker_reads_and_cannot_change() -> None:
    camera, worker = both()
    rng = np.random.default_rng(1)
    for slot in range(3):
        colour = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        depth = rng.integers(0, 60_000, (48, 64), dtype=np.uint16)
        camera.colour(slot, 64, 48)[:] = colour
        camera_depth = camera.depth(slot, 64, 48)
        assert camera_depth is not None
        camera_depth[:] = depth
        seen = worker.image(FrameRef(CameraName("c"), 1, slot, 0, 64, 48))
        assert np.array_equal(seen, colour)
        seen_depth = worker.depth(slot, 64, 48)
        assert seen_depth is not None
        assert np.array_equal(seen_depth, depth)
        with pytest.raises(ValueError):
            seen[0, 0] = 1


def test_slots_do_not_touch_each_other() -> None:
    camera, _ = both()
    for slot in range(3):
        camera.colour(slot, 64, 48)[:] = slot + 1
        plane = camera.depth(slot, 64, 48)
        assert plane is not None
        plane[:] = 1000 + slot
    for slot in range(3):
        assert (camera.colour(slot, 64, 48) == slot + 1).all()
        plane = camera.depth(slot, 64, 48)
        assert plane is not None
        assert (plane == 1000 + slot).all()


def test_a_smaller_frame_lies_at_the_start_of_its_slot() -> None:
    camera, worker = both()
    camera.colour(1, 32, 24)[:] = 7
    assert worker.colour(1, 32, 24).shape == (24, 32, 3)
    assert (worker.colour(1, 32, 24) == 7).all()


def test_a_pool_without_depth_has_none() -> None:
    camera, _ = both(PoolLayout(1, 2, 64, 48))
    assert camera.depth(0, 64, 48) is None


@pytest.mark.parametrize(("slot", "width", "height"), [(3, 64, 48), (-1, 64, 48), (0, 65, 48), (0, 10_000, 10_000)])
def test_a_frame_outside_its_pool_is_refused(slot: int, width: int, height: int) -> None:
    camera, _ = both()
    with pytest.raises(ValueError, match="outside"):
        camera.colour(slot, width, height)


def test_a_mapping_with_views_outlives_its_close() -> None:
    camera, worker = both()
    camera.colour(0, 64, 48)[:] = 9
    view = worker.colour(0, 64, 48)
    worker.close()
    assert (view == 9).all()


@given(st.integers(1, 5), st.integers(1, 2000), st.integers(1, 2000), st.booleans())
@settings(deadline=None)
def test_planes_begin_on_pages(slots: int, width: int, height: int, depth: bool) -> None:
    layout = PoolLayout(1, slots, width, height, 0.001 if depth else None)
    assert pool.slot_bytes(layout) % mmap.PAGESIZE == 0
    assert pool.slot_bytes(layout) >= width * height * (5 if depth else 3)


def test_a_ring_shows_the_newest_whole_picture() -> None:
    writer, reader = ring()
    assert reader.newest() is None
    for frame in range(10):
        writer.begin(16, 8)[:] = frame
        if frame:
            before = reader.newest()
            assert before is not None
            assert before.frame == frame - 1, "one that is being drawn is not shown"
        number = writer.commit(frame, 16, 8)
        seen = reader.newest()
        assert seen is not None
        assert (seen.number, seen.frame) == (number, frame)
        assert (seen.pixels == frame).all()
        assert reader.intact(seen)
        assert reader.newest(after=number) is None


def test_a_reader_may_take_the_picture_before_the_newest_where_that_is_new_to_it() -> None:
    writer, reader = ring()
    for frame in range(6):
        writer.begin(16, 8)[:] = frame
        writer.commit(frame, 16, 8)

    def taken(after: int, behind: int) -> int | None:
        seen = reader.newest(after, behind=behind)
        return None if seen is None else seen.frame

    # the picture of frame N has number N + 1
    assert [taken(0, behind) for behind in (0, 1, 2)] == [5, 4, 3]
    assert [taken(5, behind) for behind in (0, 1, 2)] == [5, 5, 5]
    assert taken(6, 2) is None


def test_a_reader_knows_when_the_writer_has_come_round() -> None:
    writer, reader = ring()
    writer.begin(16, 8)[:] = 1
    writer.commit(1, 16, 8)
    seen = reader.newest()
    assert seen is not None
    for frame in range(2, 5):
        writer.begin(16, 8)
        assert reader.intact(seen)
        writer.commit(frame, 16, 8)
    writer.begin(16, 8)
    assert not reader.intact(seen)


def test_a_new_writer_goes_on_where_a_killed_one_stopped() -> None:
    fd = pictures.create(4, 16, 8)
    first = PictureRing(os.dup(fd), 4, 16, 8, writable=True)
    reader = PictureRing(os.dup(fd), 4, 16, 8, writable=False)
    numbers = []
    for frame in range(3):
        first.begin(16, 8)
        numbers.append(first.commit(frame, 16, 8))
    first.begin(16, 8)[:] = 99
    second = PictureRing(fd, 4, 16, 8, writable=True)
    seen = reader.newest()
    assert seen is not None
    assert seen.frame == 2, "half a picture is not shown"
    for frame in range(3, 12):
        second.begin(16, 8)[:] = frame
        numbers.append(second.commit(frame, 16, 8))
        seen = reader.newest()
        assert seen is not None
        assert seen.frame == frame
    assert all(one < two for one, two in pairwise(numbers))


def test_a_picture_larger_than_the_ring_is_refused() -> None:
    writer, _ = ring()
    with pytest.raises(ValueError, match="larger"):
        writer.begin(17, 8)


@given(st.binary(min_size=4 * 40, max_size=4 * 40))
@settings(deadline=None, max_examples=examples(100))
def test_a_ring_full_of_rubbish_breaks_no_reader(heads: bytes) -> None:
    fd = pictures.create(4, 16, 8)
    with mmap.mmap(fd, pictures.ring_bytes(4, 16, 8)) as raw:
        for slot in range(4):
            raw[slot * (4096 + 16 * 8 * 3) : slot * (4096 + 16 * 8 * 3) + 40] = heads[slot * 40 : slot * 40 + 40]
    reader = PictureRing(fd, 4, 16, 8, writable=False)
    seen = reader.newest()
    assert seen is None or seen.pixels.size <= 16 * 8 * 3

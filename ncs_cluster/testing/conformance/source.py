"""Checks of every source. A device or file is really opened: a subclass defines its SPEC (`spec`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ncs_cluster.config import spec as specs
from ncs_cluster.errors import SourceError
from ncs_cluster.plugins import load, made
from ncs_cluster.sources import SOURCES
from ncs_cluster.sources.base import Captured, Planes, Skipping, Source, SourceInfo
from ncs_cluster.testing.conformance._options import OptionsConformance, assert_one_line

PATIENCE_S = 60.0
MOST_FRAMES = 20
"""Frames that the checks read from a source that does not end earlier."""


class SourceConformance(OptionsConformance):
    """Open, read, end, close, refuse, fail. `options` are laid over those of the SPEC."""

    registry = SOURCES

    def spec(self, folder: Path) -> str:
        """The SPEC of a source that opens. `folder`: an empty folder for the files that the source needs."""
        return self.plugin

    refused_specs: tuple[str, ...] = ()
    """SPECs that the parser must refuse."""
    missing: tuple[str, ...] = ()
    """SPECs, or paths below the folder, that parse and cannot be opened: `open` must raise SourceError."""

    def made(self, folder: Path, spec: str | None = None) -> Source:
        plugin, parsed = specs.parse(spec or self.spec(folder), folder)
        assert plugin.name == self.plugin
        source: Source = load(plugin.driver)(made(plugin.options, {**parsed.options, **self.options}))
        return source

    @contextmanager
    def opened(self, folder: Path) -> Iterator[tuple[Source, SourceInfo]]:
        source = self.made(folder)
        try:
            yield source, source.open()
        finally:
            source.close()

    def made_options(self) -> object:
        return None  # most options need a SPEC: see the checks below

    # -- the checks

    def test_options_are_judged_when_they_are_made(self, tmp_path: Path) -> None:  # type: ignore[override]
        _, parsed = specs.parse(self.spec(tmp_path), tmp_path)
        for given in ({"no_such_option": 1}, *self.refused_options):
            with pytest.raises(ValueError, match=r".") as refused:
                made(self.descriptor.options, {**parsed.options, **self.options, **given})
            assert_one_line(str(refused.value))

    def test_a_spec_is_shown_to_people_in_one_line(self, tmp_path: Path) -> None:
        _, parsed = specs.parse(self.spec(tmp_path), tmp_path)
        assert_one_line(parsed.shown)

    def test_specs_that_mean_nothing_are_refused_in_one_line(self, tmp_path: Path) -> None:
        for text in self.refused_specs:
            with pytest.raises(ValueError, match=r".") as refused:
                specs.parse(text, tmp_path)
            assert_one_line(str(refused.value))

    def test_it_says_what_it_gives_and_gives_frames_that_fit(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as (source, info):
            assert info.width >= 1
            assert info.height >= 1
            assert info.fps is None or info.fps > 0
            assert_one_line(info.description or "-")
            frames = read(source, info)
            assert frames, "a source that opens gives a frame, or one that cannot be shown"
            for captured, planes in frames:
                assert_fits(captured, planes, info)

    def test_frames_are_taken_one_after_another(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as (source, info):
            taken = [captured.captured_s for captured, _ in read(source, info)]
            assert taken == sorted(taken)
            assert taken[-1] <= time.monotonic()

    def test_a_finite_source_ends_and_stays_at_its_end(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as (source, info):
            if not info.finite:
                pytest.skip("this source does not end")
            room = planes_of(info)
            until_s = time.monotonic() + PATIENCE_S
            while source.read(room) is not None:
                assert time.monotonic() < until_s, "it does not end"
            assert source.read(room) is None

    def test_opened_again_a_finite_source_begins_again(self, tmp_path: Path) -> None:
        source, seen = self.made(tmp_path), list[bytes]()
        for _ in range(2):
            info = source.open()
            if not info.finite:
                source.close()
                pytest.skip("this source does not end")
            seen.append(b"".join(planes.colour.tobytes() for _, planes in read(source, info, 3)))
            source.close()
        assert seen[0] == seen[1]

    def test_frames_that_are_skipped_are_those_that_reading_would_give(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as (source, info):
            if not info.finite or not isinstance(source, Skipping):
                pytest.skip("this source cannot skip")
            whole = read(source, info, 4)
        with self.opened(tmp_path) as (source, info):
            assert isinstance(source, Skipping)
            source.skip(2)
            rest = read(source, info, 2)
        assert [planes.colour.tobytes() for _, planes in rest] == [planes.colour.tobytes() for _, planes in whole[2:]]

    def test_it_can_be_closed_twice_and_without_having_been_opened(self, tmp_path: Path) -> None:
        source = self.made(tmp_path)
        source.close()
        source.open()
        source.close()
        source.close()

    def test_a_closed_source_gives_no_frame(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as (source, info):
            source.close()
            try:
                assert source.read(planes_of(info)) is None
            except SourceError as error:
                assert_one_line(error.detail)

    def test_closing_it_from_another_thread_ends_a_read(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as (source, info):
            ended = threading.Event()

            def read_on() -> None:
                room = planes_of(info)
                try:
                    while source.read(room) is not None:
                        pass
                except SourceError:
                    pass
                ended.set()

            threading.Thread(target=read_on, daemon=True).start()
            time.sleep(0.05)
            source.close()
            assert ended.wait(PATIENCE_S)

    def test_what_is_not_there_is_told_in_one_line(self, tmp_path: Path) -> None:
        self.spec(tmp_path)
        for name in self.missing:
            with pytest.raises((SourceError, ValueError)) as refused:
                self.made(tmp_path, name).open()
            assert_one_line(str(refused.value))


def planes_of(info: SourceInfo) -> Planes:
    """A pool slot of the source's size, filled with the pixels of an older frame."""
    depth = None if info.depth_scale_m is None else np.full((info.height, info.width), 0xABCD, np.uint16)
    return Planes(np.full((info.height, info.width, 3), 0xEE, np.uint8), depth)


def read(source: Source, info: SourceInfo, most: int = MOST_FRAMES) -> list[tuple[Captured, Planes]]:
    """At most `most` further frames, each in planes of its own."""
    frames: list[tuple[Captured, Planes]] = []
    while len(frames) < most:
        room = planes_of(info)
        captured = source.read(room)
        if captured is None:
            break
        frames.append((captured, room))
    return frames


def assert_fits(captured: Captured, planes: Planes, info: SourceInfo) -> None:
    if captured.error is not None:
        assert_one_line(captured.error)
        return
    assert 1 <= captured.width <= info.width
    assert 1 <= captured.height <= info.height
    pixels = planes.colour.reshape(-1)
    size = captured.width * captured.height * 3
    assert (pixels[size:] == 0xEE).all(), "what is beyond the frame is left alone"
    assert (pixels[:size] != 0xEE).any(), "the frame was written"

"""Checks of every sink. Records are really written: a subclass defines the destination (`spec`) and counts records (`count`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.backends import SIMULATED
from ncs_cluster.config import load as load_settings
from ncs_cluster.errors import ConfigError
from ncs_cluster.plugins import load, made
from ncs_cluster.sinks import SINKS
from ncs_cluster.sinks.base import Sink
from ncs_cluster.specs import SinkSpec
from ncs_cluster.testing.conformance._options import OptionsConformance, assert_one_line
from ncs_cluster.types import Classified, Detection, Outcome, Record

RECORDS = 20


class SinkConformance(OptionsConformance):
    """Open, write, resume, follow, refuse. `options` are those of [sinks.NAME]."""

    registry = SINKS

    def spec(self, folder: Path) -> str:
        """The SPEC that --results gets. `folder`: an empty folder in which the sink may write."""
        return f"{self.plugin}:{folder / 'results'}"

    def count(self, folder: Path) -> int:
        """The number of whole records that the sink has written below `folder`."""
        raise NotImplementedError(f"{type(self).__name__} must define count()")

    refused_specs: tuple[str, ...] = ()
    """SPECs that --results must refuse; {folder} stands for an empty folder."""

    def sink_spec(self, folder: Path, text: str | None = None) -> SinkSpec:
        settings = [word for name, value in self.options.items() for word in ("--set", f"sinks.{self.plugin}.{name}={value}")]
        text = text or self.spec(folder)
        (found,) = load_settings(["--backend", SIMULATED, "--graph", "none", "--results", text, *settings], {}).sinks
        return found

    def made(self, folder: Path) -> Sink:
        spec = self.sink_spec(folder)
        assert spec.kind == self.plugin
        sink: Sink = load(self.descriptor.driver)(made(self.descriptor.options, spec.options))
        return sink

    def made_options(self) -> Any:
        return None

    # -- the checks

    def test_options_are_judged_when_they_are_made(self, tmp_path: Path) -> None:  # type: ignore[override]
        whole = self.sink_spec(tmp_path).options
        for given in ({"no_such_option": 1}, *self.refused_options):
            with pytest.raises(ValueError, match=r".") as refused:
                made(self.descriptor.options, {**whole, **given})
            assert_one_line(str(refused.value))

    def test_a_place_is_shown_to_people_in_one_line(self, tmp_path: Path) -> None:
        assert_one_line(self.sink_spec(tmp_path).shown)

    def test_places_that_cannot_be_are_refused_in_one_line(self, tmp_path: Path) -> None:
        for text in self.refused_specs:
            with pytest.raises(ConfigError) as refused:
                self.sink_spec(tmp_path, text.format(folder=tmp_path))
            assert_one_line(str(refused.value))

    def test_each_record_is_written_once_and_answered_by_a_token(self, tmp_path: Path) -> None:
        sink = self.made(tmp_path)
        assert sink.open(0, None).next == 0
        for number in range(RECORDS):
            assert isinstance(sink.write(record(number)), bytes)
        sink.close()
        assert self.count(tmp_path) == RECORDS

    def test_a_sink_goes_on_where_the_one_before_it_was_acknowledged(self, tmp_path: Path) -> None:
        first = self.made(tmp_path)
        first.open(0, None)
        tokens = [first.write(record(number)) for number in range(RECORDS)]
        # killed: nothing is closed, and the last two records were not acknowledged
        acknowledged = RECORDS - 2
        second = self.made(tmp_path)
        first.close()
        opened = second.open(acknowledged, tokens[acknowledged - 1])
        assert acknowledged <= opened.next <= RECORDS
        for number in range(opened.next, RECORDS + 3):
            second.write(record(number))
        second.close()
        twice = self.count(tmp_path) - (RECORDS + 3)
        assert twice in (0, RECORDS - opened.next), "nothing is lost; what was not acknowledged may stand there twice"

    def test_a_daemon_that_starts_again_adds_to_what_is_there(self, tmp_path: Path) -> None:
        for _ in range(2):
            sink = self.made(tmp_path)
            assert sink.open(0, None).next == 0
            sink.write(record(0))
            sink.close()
        assert self.count(tmp_path) == 2

    def test_it_stays_at_its_place_while_nothing_has_moved(self, tmp_path: Path) -> None:
        sink = self.made(tmp_path)
        sink.open(0, None)
        sink.write(record(0))
        assert sink.follow() is None
        sink.write(record(1))
        sink.close()
        assert self.count(tmp_path) == 2

    def test_it_can_be_closed_twice_and_without_having_been_opened(self, tmp_path: Path) -> None:
        sink = self.made(tmp_path)
        sink.close()
        sink.open(0, None)
        sink.close()
        sink.close()


def record(number: int) -> Record:
    """Records of every kind in turn: detections with and without a distance, classes, nothing, a frame that was given up."""
    box = (0.125, 0.25, 0.5, 0.75)
    kinds = [
        Outcome(detections=[Detection('a "quoted", ünïcode\nlabel', 1, 0.875, box)]),
        Outcome(classes=[Classified("dark", 0, 0.5), Classified("bright", 1, 0.25)]),
        Outcome(),
        Outcome(error="three sticks died of it"),
    ]
    outcome = kinds[number % len(kinds)]
    given_up = outcome.error is not None
    return Record("cam0", number, 1.7e9 + number, None, "sim-1", "demo", None if given_up else 0.05, outcome)

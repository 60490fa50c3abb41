"""Formats of job results that break one rule fail the check for it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ncs_cluster.sinks import SINKS
from ncs_cluster.sinks.base import Opened, SinkPlugin
from ncs_cluster.sinks.csv import Options
from ncs_cluster.testing.conformance import JobSinkConformance
from ncs_cluster.types import Record

MODULE = "broken_job_sinks"


class Sound:
    """Keeps all records in one hidden file: enough for the checks."""

    def __init__(self, options: Any) -> None:
        self.path, self.hidden = Path(options.path), Path(options.path).parent / ".kept"
        self.records: list[tuple[int, bool]] = []

    def open(self, first: int, token: bytes | None) -> Opened:
        kept = json.loads(self.hidden.read_text()) if self.hidden.exists() else []
        self.records = [] if token is None else kept[: int(token)]
        self.save()
        return Opened(first, b"%d" % len(self.records))

    def follow(self) -> bytes | None:
        return None

    def write(self, record: Record) -> bytes:
        self.records.append((record.frame, record.outcome.error is not None))
        self.save()
        return b"%d" % len(self.records)

    def save(self) -> None:
        self.hidden.write_text(json.dumps(self.records))

    def sync(self) -> None: ...

    def finish(self) -> None:
        self.path.write_text(json.dumps(sorted(dict(self.records).items())))

    def close(self) -> None: ...


class Doubles(Sound):
    def finish(self) -> None:
        self.path.write_text(json.dumps(self.records))


class KeepsTheFirst(Sound):
    def finish(self) -> None:
        self.path.write_text(json.dumps(sorted(dict(reversed(self.records)).items())))


class KeepsTheTail(KeepsTheFirst):
    """Does not cut off what was written behind the token."""

    def open(self, first: int, token: bytes | None) -> Opened:
        return super().open(first, None if token is None else b"999")


class Hasty(Sound):
    def save(self) -> None:
        super().save()
        self.finish()


class Remembers(Sound):
    """Does not begin anew."""

    def open(self, first: int, token: bytes | None) -> Opened:
        return super().open(first, b"999")


class FinishesOnce(Sound):
    def finish(self) -> None:
        done = self.path.exists()
        super().finish()
        if done:
            self.path.write_text("[]")


class Silent(Sound):
    """Without records it makes no file."""

    def finish(self) -> None:
        if self.records:
            super().finish()


class Endless:
    """A live sink."""

    def __init__(self, options: Any) -> None: ...


@pytest.mark.parametrize(
    ("sink", "check"),
    [
        (KeepsTheTail, "test_it_goes_on_from_a_token_without_what_was_written_behind_it"),
        (Doubles, "test_a_retry_replaces_the_records_of_frames_that_failed"),
        (KeepsTheFirst, "test_a_retry_replaces_the_records_of_frames_that_failed"),
        (Hasty, "test_nothing_has_its_final_name_before_the_job_is_finished"),
        (Remembers, "test_a_job_that_begins_anew_holds_nothing_of_an_earlier_one"),
        (FinishesOnce, "test_finish_may_be_called_again"),
        (Silent, "test_a_job_without_records_has_final_files"),
        (Endless, "test_it_can_be_a_jobs_sink"),
    ],
)
def test_a_broken_format_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sink: type[Any], check: str) -> None:
    class Checks(JobSinkConformance):
        plugin = "broken"

        def read(self, folder: Path) -> list[tuple[int, bool]]:
            return [(frame, failed) for frame, failed in json.loads((folder / "results").read_text())]

    module = ModuleType(MODULE)
    module.Broken, module.Sound, module.Options = sink, Sound, Options  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, module)
    for name in ("Sound", "Broken"):
        plugin = SinkPlugin(
            name="broken",
            form="broken:FILE",
            driver=f"{MODULE}:{name}",
            options=f"{MODULE}:Options",
            parse="ncs_cluster.sinks._parted:parse",
            jobs_only=True,
        )
        monkeypatch.setitem(SINKS.builtin, "broken", plugin)
        folder = tmp_path / name
        os.mkdir(folder)
        if name == "Sound":
            getattr(Checks(), check)(folder)
        else:
            with pytest.raises(AssertionError):
                getattr(Checks(), check)(folder)

"""Forms of job results in a real sink process, which is killed while it writes."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ncs_cluster.core.outbox import Outbox
from ncs_cluster.messages import Failed, FromSink, Hello, OpenSink, SinkBlocked, SinkOpened
from ncs_cluster.processes.sink import main
from ncs_cluster.specs import SinkSpec
from ncs_cluster.testing.children import forked
from tests.processes.test_sink import Driven
from tests.sinks.onejob import files, job, need_form, record, takes_features, whole

FRAMES = 400


def spec(kind: str, folder: Path) -> SinkSpec:
    path = os.fspath(folder if kind == "yolo" else folder / f"results.{kind}")
    return SinkSpec(kind, {"path": path, **({"job": True} if kind == "jsonl" else {})}, path)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "coco", "yolo", "npy", "hdf5"])
def test_a_sink_process_that_is_killed_at_random_moments_loses_and_doubles_no_row(tmp_path: Path, kind: str) -> None:
    need_form(kind)
    records = [record(frame, takes_features(kind)) for frame in range(FRAMES)]
    chance, outbox, folder, put, killed = random.Random(kind), Outbox(), tmp_path / "killed", 0, 0
    folder.mkdir()
    while outbox.written < FRAMES:
        with forked(main, FromSink) as child:
            assert isinstance(child.receive(), Hello)
            child.send(OpenSink(spec(kind, folder), outbox.written, outbox.token))
            opened = child.expect(SinkOpened)
            outbox.opened(opened.next, opened.token)
            driven = Driven(child, outbox)
            driven.pump()
            more = FRAMES if killed >= 4 else min(FRAMES, put + chance.randrange(20, 90))
            while put < more:
                driven.put(records[put])
                put += 1
                if chance.random() < 0.3 and outbox.kept:
                    driven.hear()
            if killed < 4:
                killed += 1
                child.process.kill()
            else:
                driven.all_written()
                assert driven.stop() == 0
        outbox.closed()
    assert killed == 4
    sink = job(kind, folder)
    sink.open(FRAMES, outbox.token)
    sink.finish()
    sink.close()
    assert files(folder) == whole(kind, tmp_path / "whole", records)


def test_a_record_for_a_finished_job_is_told_as_a_reason_and_kept(tmp_path: Path) -> None:
    sink = job("csv", tmp_path)
    sink.open(0, None)
    token = sink.write(record(0))
    sink.finish()
    sink.close()
    outbox = Outbox()
    with forked(main, FromSink) as child:
        child.send(OpenSink(spec("csv", tmp_path), 0, token))
        opened = child.expect(SinkOpened)
        outbox.opened(opened.next, opened.token)
        driven = Driven(child, outbox)
        driven.put(record(0))
        assert driven.until(SinkBlocked).detail == f"{tmp_path}/results.csv has its final form; begin the job anew"
    assert outbox.kept == 1


def test_a_form_whose_options_are_wrong_is_refused_in_one_line(tmp_path: Path) -> None:
    with forked(main, FromSink) as child:
        child.send(OpenSink(SinkSpec("csv", {"path": "relative"}, "relative")))
        failed = child.expect(Failed)
        child.drain()
        assert child.process.wait(60) == 1
    assert (failed.permanent, failed.detail) == (True, "path must be the absolute path of a file")

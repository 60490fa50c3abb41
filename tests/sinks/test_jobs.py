"""What all forms of job results have in common: kills, a full disk, retries, shards, jobs without a record, unusual names."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncs_cluster.config import load as load_settings
from ncs_cluster.errors import ConfigError
from ncs_cluster.sinks import SINKS
from ncs_cluster.sinks.base import Finishing
from tests.conftest import ROOT
from tests.sinks.killed_job import SHARD, plan
from tests.sinks.onejob import FORMS, files, job, need_form, record, takes_features, whole
from tests.sinks.test_lines import largest_file
from tests.tied import TIED

FRAMES = 150


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_job_whose_writer_is_killed_again_and_again_has_the_results_of_one_that_is_not(
    tmp_path: Path, kind: str, seed: int
) -> None:
    need_form(kind)
    folder = tmp_path / "killed"
    folder.mkdir()
    ran = subprocess.run(
        [*TIED, sys.executable, "-m", "tests.sinks.killed_job", kind, str(folder), str(FRAMES), str(seed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    writing, finishing = map(int, ran.stdout.split())
    assert writing >= 3, "too few writers were killed while they wrote"
    assert finishing >= 1, "no writer was killed while it finished"
    options = {} if kind == "yolo" else {"shard_size": SHARD}
    assert results(folder) == whole_results(kind, tmp_path / "whole", **options)


def results(folder: Path) -> dict[str, bytes]:
    """Final files: parts and drafts are hidden."""
    return {name: text for name, text in files(folder).items() if not name.startswith(".")}


def whole_results(kind: str, folder: Path, **options: object) -> dict[str, bytes]:
    folder.mkdir()
    sink = job(kind, folder, **options)
    sink.open(0, None)
    for each in plan(kind, FRAMES):
        sink.write(each)
    sink.finish()
    sink.close()
    return results(folder)


@pytest.mark.parametrize("kind", FORMS)
def test_each_can_be_a_jobs_sink(tmp_path: Path, kind: str) -> None:
    assert isinstance(job(kind, tmp_path), Finishing)


@pytest.mark.parametrize("kind", FORMS)
def test_a_job_that_is_done_leaves_its_final_files_and_nothing_else(tmp_path: Path, kind: str) -> None:
    made = whole(kind, tmp_path / "a", [record(frame, takes_features(kind)) for frame in range(9)])
    assert made
    assert not [name for name in made if name.startswith(".")]
    assert not (tmp_path / "a" / ".parts").exists()


@pytest.mark.parametrize("kind", FORMS)
def test_finish_may_be_called_again_with_or_without_an_opening_between(tmp_path: Path, kind: str) -> None:
    for failed in (False, True):
        folder = tmp_path / str(failed)
        folder.mkdir()
        sink = job(kind, folder)
        sink.open(0, None)
        token = b""
        for frame in range(9):
            token = sink.write(record(frame, takes_features(kind), failed=failed and frame == 4))
        sink.sync()
        sink.finish()
        made = results(folder)
        sink.finish()
        sink.close()
        again = job(kind, folder)
        assert again.open(9, token) == (9, token)
        again.finish()
        again.close()
        assert results(folder) == made


@pytest.mark.parametrize("kind", FORMS)
def test_a_retry_after_the_end_of_a_job_replaces_what_failed(tmp_path: Path, kind: str) -> None:
    features = takes_features(kind)
    folder = tmp_path / "retried"
    folder.mkdir()
    sink, token = job(kind, folder), b""
    sink.open(0, None)
    for frame in range(20):
        token = sink.write(record(frame, features, failed=frame in (0, 4, 19)))
    sink.finish()
    sink.close()
    retry = job(kind, folder)
    retry.open(20, token)
    for frame in (0, 4, 19):
        retry.write(record(frame, features))
    retry.sync()
    retry.finish()
    retry.close()
    assert files(folder) == whole(kind, tmp_path / "whole", [record(frame, features) for frame in range(20)])


@pytest.mark.parametrize("kind", FORMS)
def test_a_full_disk_while_rows_are_written_or_results_are_finished_loses_nothing(tmp_path: Path, kind: str) -> None:
    features = takes_features(kind)
    records = [record(frame, features, failed=frame == 3) for frame in range(120)]
    folder = tmp_path / "full"
    folder.mkdir()
    sink = job(kind, folder)
    sink.open(0, None)
    failures = 0
    for number, each in enumerate(records):
        if number % 7 == 5:
            # less than the smallest column has
            with largest_file(100), pytest.raises(OSError) as refused:
                sink.write(each)
            assert refused.value.errno == errno.EFBIG
            failures += 1
        sink.write(each)
    assert failures
    for limit in (0, 64):
        with largest_file(limit), pytest.raises(OSError) as full:
            sink.finish()
        assert (full.value.errno, full.value.strerror) == (errno.EFBIG, "File too large")
    assert not [name for name in files(folder) if ".tmp" in name]
    sink.finish()
    sink.close()
    assert results(folder) == {
        name: text for name, text in whole(kind, tmp_path / "whole", records).items() if not name.startswith(".")
    }


@pytest.mark.parametrize("kind", ["hdf5", "parquet", "coco", "megadetector"])
def test_a_disk_that_fills_up_at_any_place_of_the_file_is_one_line_and_no_crash(tmp_path: Path, kind: str) -> None:
    records = [record(frame, takes_features(kind), failed=frame % 5 == 3) for frame in range(300)]
    folder = tmp_path / "full"
    folder.mkdir()
    sink = job(kind, folder)
    sink.open(0, None)
    for each in records:
        sink.write(each)
    whole_text = whole(kind, tmp_path / "whole", records)[f"results.{kind}"]
    for place in range(20):
        with largest_file(len(whole_text) * place // 20), pytest.raises(OSError) as full:
            sink.finish()
        assert (full.value.errno, full.value.strerror) == (errno.EFBIG, "File too large")
        assert results(folder) == (
            {} if kind != "coco" else {k: v for k, v in results(folder).items() if k.endswith("_images.json")}
        )
    sink.finish()
    sink.close()
    assert results(folder)[f"results.{kind}"] == whole_text


@pytest.mark.parametrize("kind", [kind for kind in FORMS if kind != "yolo"])
def test_shards_that_an_earlier_job_left_are_removed(tmp_path: Path, kind: str) -> None:
    features = takes_features(kind)
    whole(kind, tmp_path / "a", [record(frame, features) for frame in range(10)], shard_size=2)
    later = whole(kind, tmp_path / "a", [record(frame, features) for frame in range(3)], shard_size=2)
    assert later == whole(kind, tmp_path / "b", [record(frame, features) for frame in range(3)], shard_size=2)
    assert f"results-00001.{kind}" in later
    assert f"results-00002.{kind}" not in later


@pytest.mark.parametrize("kind", FORMS)
def test_results_that_are_not_done_have_no_final_name(tmp_path: Path, kind: str) -> None:
    sink = job(kind, tmp_path)
    sink.open(0, None)
    for frame in range(5):
        sink.write(record(frame, takes_features(kind)))
    sink.sync()
    sink.close()
    assert results(tmp_path) == {}


@pytest.mark.parametrize("kind", FORMS)
def test_a_job_whose_parts_were_removed_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(OSError, match=r"there are no parts in .*; begin the job anew"):
        job(kind, tmp_path).open(3, b'{"part":0,"rows":3,"frame":2,"ends":[3,3,3,3]}')


@pytest.mark.parametrize("kind", FORMS)
def test_a_job_that_is_finished_takes_no_more_records(tmp_path: Path, kind: str) -> None:
    sink = job(kind, tmp_path)
    sink.open(0, None)
    sink.write(record(0, takes_features(kind)))
    sink.finish()
    with pytest.raises(OSError, match="has its final form; begin the job anew"):
        sink.write(record(1, takes_features(kind)))
    sink.close()


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize(
    "given",
    [{"path": "relative"}, {"path": "/"}, {"path": "/tmp/" + "x" * 201}, {"shard_size": -1}],
    ids=lambda each: str(each)[:20],
)
def test_options_that_cannot_be_are_refused_in_one_line(tmp_path: Path, kind: str, given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^(path|shard_size) must .*$"):
        job(kind, tmp_path, **given)


@pytest.mark.parametrize("kind", [name for name, plugin in SINKS.builtin.items() if plugin.jobs_only])
def test_a_daemon_without_a_job_refuses_what_only_a_job_finishes(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"^--results: {kind} is a format of jobs; name a file for JSON Lines$"):
        load_settings(["--backend", "simulated", "--graph", "none", "--results", f"{kind}:{tmp_path}/out"], {})


def test_a_daemon_without_a_job_refuses_lines_that_only_a_job_finishes(tmp_path: Path) -> None:
    given = ["--results", f"{tmp_path}/out", "--set", "sinks.jsonl.job=true"]
    with pytest.raises(ConfigError, match=r"sinks\.jsonl\.job.*only a job may set it; remove it$"):
        load_settings(["--backend", "simulated", "--graph", "none", *given], {})


@pytest.mark.parametrize("kind", FORMS)
def test_results_of_an_earlier_job_stay_until_those_of_the_next_are_whole(tmp_path: Path, kind: str) -> None:
    features = takes_features(kind)
    earlier = whole(kind, tmp_path, [record(0, features)])
    sink = job(kind, tmp_path)
    sink.open(0, None)
    sink.write(record(0, features, failed=True))
    assert results(tmp_path) == earlier
    sink.finish()
    assert results(tmp_path) != earlier
    sink.close()


@pytest.mark.parametrize("kind", FORMS)
def test_a_link_in_the_place_of_parts_is_not_followed(tmp_path: Path, kind: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    sink = job(kind, tmp_path)
    sink.open(0, None)
    (place,) = (tmp_path / ".parts").iterdir()
    (place / "000000.index").symlink_to(elsewhere)
    with pytest.raises(OSError):
        sink.write(record(0, takes_features(kind)))
    sink.close()
    assert elsewhere.read_text() == "precious"
    assert os.path.islink(place / "000000.index")

"""What a bench reads before it measures: command line, pictures; and how programs share the pictures among themselves."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncs_cluster.cli.bench import arguments, pictures
from ncs_cluster.errors import ConfigError
from ncs_cluster.processes.bench import picture_numbers

DEMO = ["a.jpg", "--graph", "demo"]


def picture(path: Path) -> Path:
    cv2.imwrite(os.fspath(path), np.zeros((8, 8, 3), np.uint8))
    return path


def test_the_defaults_are_every_mode_and_three_counts() -> None:
    given = arguments.parse(DEMO)
    assert [mode.name for mode in given.modes] == ["serial", "threads", "processes", "queue"]
    assert (given.counts, given.devices, given.repeats, given.sustained) == ([2, 100, 300], None, 3, None)
    assert given.most == (1280, 720)


def test_lists_are_ascending_and_each_once() -> None:
    words = ["--counts", "300,2,2", "--devices", "4,1", "--mode", "queue,serial,queue", "--sustained", "60"]
    given = arguments.parse([*DEMO, *words])
    assert (given.counts, given.devices, given.sustained) == ([2, 300], [1, 4], 60.0)
    assert [mode.name for mode in given.modes] == ["serial", "queue"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--graph demo", "name PICTURES"),
        ("a.jpg --graph demo --mode fast", "there is no mode 'fast'; known: serial, threads, processes, queue"),
        ("a.jpg --graph demo --mode ,", "there is no mode ','"),
        ("a.jpg --graph demo --counts 0", "--counts: is numbers from 1 to 10,000, not '0'"),
        ("a.jpg --graph demo --counts 2,", "--counts: is numbers from 1 to 10,000, not '2,'"),
        ("a.jpg --graph demo --counts 9999999999999999999", "--counts: is numbers from 1"),
        ("a.jpg --graph demo --devices two", "--devices: is numbers from 1 to 1,000, not 'two'"),
        ("a.jpg --graph demo --repeats 1,2", "--repeats: is a number from 1 to 1,000, not '1,2'"),
        ("a.jpg --graph demo --sustained nan", "--sustained: is seconds, at least 10, not 'nan'"),
        ("a.jpg --graph demo --size big", "--size: is WxH"),
    ],
)
def test_a_wrong_command_line_is_refused_with_what_is_wrong(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        arguments.parse(words.split())
    assert refused.value.code == 2
    assert line in capsys.readouterr().err


def test_settings_are_passed_on_as_the_daemon_takes_them() -> None:
    sticks = ["--backend", "simulated", "--sticks", "2"]
    sets = ["--set", "a.b=1", "--set", "c=2"]
    given = arguments.parse([*DEMO, *sets, "--switch-temp", "60", *sticks])
    words = ["--graph", "demo", "--no-web", "--source", "synthetic", *sticks, "--switch-temp", "60", *sets]
    assert arguments.of_daemon(given) == words


def test_pictures_are_named_as_a_job_names_them_and_films_are_left_out(tmp_path: Path) -> None:
    for name in ("b/10.png", "b/2.png", "a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(tmp_path / name)
    (tmp_path / "film.mp4").write_bytes(b"")
    assert [item.name for item in pictures.listed([os.fspath(tmp_path)], 10)] == ["a.png", "b/2.png", "b/10.png"]
    (first,) = pictures.listed([os.fspath(tmp_path)], 1)
    assert (first.name, first.path, first.home) == ("a.png", os.fspath(tmp_path / "a.png"), os.fspath(tmp_path))


def test_a_folder_without_pictures_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^.*: no picture is there; name a folder, files, or a pattern in quotes$"):
        pictures.listed([os.fspath(tmp_path)], 10)


def test_pictures_that_cannot_be_read_are_refused_with_the_first_reason(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"text")
    (tmp_path / "3.png").write_bytes(b"")
    items = pictures.listed([os.fspath(tmp_path)], 10)
    with pytest.raises(
        ConfigError, match=r"^2\.png: is no picture that OpenCV can decode .*, and 1 more cannot be read; leave them out$"
    ):
        pictures.check(items, (1280, 720))
    pictures.check(items[:1], (1280, 720))


def test_each_turn_is_taken_once_by_threads_and_processes_together(tmp_path: Path) -> None:
    count = 20_000
    fd = picture_numbers.create(count)
    children = []
    for number in range(2):
        if (pid := os.fork()) == 0:
            (tmp_path / str(number)).write_text("\n".join(map(str, picture_numbers.taken(fd))))
            os._exit(0)
        children.append(pid)
    taken: list[list[int]] = [[], [], []]
    threads = [threading.Thread(target=lambda into=each: into.extend(picture_numbers.taken(fd))) for each in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pid in children:
        os.waitpid(pid, 0)
    os.close(fd)
    taken += [[int(line) for line in (tmp_path / str(number)).read_text().split()] for number in range(2)]
    assert sorted(number for each in taken for number in each) == list(range(count))

"""Whatever happens to the answers of a stick, each record of a film has the boxes of its own frame."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.sources._scene import Scene
from ncs_cluster.testing.daemon import read_results, running
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

FRAMES, WIDTH, HEIGHT = 100, 320, 240
PORTS = ["1-1.1", "1-1.2"]
CHIP = {"graphs": [os.fspath(ROOT / "graphs/demo/demo.xml")], "latency_s": 0.03, "watchdog_s": 10.0, "boot_s": 0.2}
DONE_S = 180.0

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic scene, with much happening from one frame to the next."""
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(os.fspath(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (WIDTH, HEIGHT))
    scene, depth = Scene(WIDTH, HEIGHT, 1), np.empty((HEIGHT, WIDTH), np.uint16)
    for number in range(FRAMES):
        colour = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        scene.draw(number, number / 5.0, colour, depth)
        writer.write(colour)
    writer.release()
    return path


def run(bus: Emulator, film: Path, folder: Path, fault: tuple[str, int] | None = None, **chip: Any) -> tuple[Records, list[str]]:
    """The film through two sticks, and what happens to a result of the first one after so many others. Records, its lines in the
    log. The fault waits in the stick before it answers, and the second stick is plugged in after that: a test that is stalled
    meanwhile misses nothing."""
    folder.mkdir()
    bus.reset()
    bus.add(PORTS[0], **CHIP, **chip)
    (folder / "usb-ma2x8x.mvcmd").write_bytes(artificial_firmware(40_000))
    argv = ["--source", str(film), "--every-frame", "--backend", "xlink", "--no-web", "--results", str(folder / "found.jsonl")]
    argv += ["--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run"), "--threshold", "0.3"]
    argv += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={folder}/usb-ma2x8x.mvcmd"]
    story: list[str] = []
    with running(load(argv, {}), bus.env) as daemon:
        if fault is not None:
            kind, after = fault
            daemon.until(lambda _: bus.state(PORTS[0])["state"] == "run", "has booted the stick")
            bus.fault(PORTS[0], kind, after=after)
        bus.add(PORTS[1], **CHIP, **chip)
        assert daemon.wait(DONE_S) == 0
        story = [line for line in daemon.log.read_text().splitlines() if f"ncs-{PORTS[0]}" in line]
    return read_results(folder / "found.jsonl"), story


def boxes(records: Records) -> dict[int, list[tuple[Any, ...]]]:
    return {each["frame"]: [(one["label"], one["score"], *one["box"]) for one in each["detections"]] for each in records}


@pytest.fixture(scope="module")
def bus(start_emulators: Callable[..., Emulator]) -> Emulator:
    return start_emulators()


@pytest.fixture(scope="module")
def reference(bus: Emulator, film: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[tuple[Any, ...]]]:
    """The boxes of each frame, by sticks without a fault."""
    records, _ = run(bus, film, tmp_path_factory.mktemp("answers") / "reference")
    found = boxes(records)
    assert sorted(found) == list(range(FRAMES))
    following = sum(found[number] != found[number + 1] for number in range(FRAMES - 1))
    assert following > FRAMES * 0.9, "another frame's boxes would not be noticed"
    return found


@pytest.mark.parametrize(
    ("fault", "chip"),
    [
        (("double", 10), {}),
        (("double", 20), {"release": "received"}),
        (("lost", 15), {}),
        (("lost", 25), {"release": "received"}),
    ],
    ids=["doubled", "doubled, credit at once", "lost", "lost, credit at once"],
)
def test_a_result_that_is_doubled_or_lost_gives_no_record_another_frames_boxes(
    bus: Emulator,
    film: Path,
    reference: dict[int, list[tuple[Any, ...]]],
    tmp_path: Path,
    fault: tuple[str, int],
    chip: dict[str, Any],
) -> None:
    records, story = run(bus, film, tmp_path / "job", fault, **chip)
    found = boxes(records)
    assert [each["frame"] for each in records] == list(range(FRAMES))
    wrong = [number for number in range(FRAMES) if found[number] != reference[number]]
    told = re.search(r"; (\d+) earlier results? may belong to other frames", " ".join(story))
    if not chip or not told:
        assert wrong == []
    else:
        # where a tensor is released at once, and the machine so busy that a lost result hides among late ones, it is told
        assert len(wrong) <= int(told[1])
    assert not any("error" in each for each in records)
    assert any("resetting and reopening the stick" in line for line in story), story

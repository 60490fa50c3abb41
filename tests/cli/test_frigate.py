"""`ncsctl frigate`, and what `ncsctl status` says of intakes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from ncs_cluster.cli import frigate, show
from ncs_cluster.status import IntakeStatus, LatencyStatus, Status
from ncs_cluster.testing.control import some_status
from ncs_cluster.types import IntakeClient

SERVED = IntakeStatus(
    "frigate", "tcp://127.0.0.1:5555", "running", None, 0, 78.1, 4000, 2, 3, LatencyStatus(51.0, 60.0), colours="RGB"
)


def document(*intakes: IntakeStatus, graphs: tuple[str, ...] = ("yolox_nano",)) -> Status:
    """Four sticks of 50 ms, of which two are at work."""
    status = some_status()
    sticks = [structs.replace(stick, latency_ms=LatencyStatus(50.0, 60.0)) for stick in status.sticks]
    inputs = {"yolox_nano": (416, 416), "demo": (300, 200)}
    return structs.replace(status, sticks=sticks, intakes=list(intakes), graphs=list(graphs), inputs=inputs)


def parsed(text: str) -> dict[str, Any]:
    """The YAML that Frigate reads, of the two levels of mappings that it has here."""
    found: dict[str, Any] = {}
    path: list[dict[str, Any]] = [found]
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        key, _, value = line.strip().partition(":")
        path = path[: depth + 1]
        if value:
            text = value.strip()
            path[-1][key] = json.loads(text) if text[0] in '"0123456789' else text
        else:
            path[-1][key] = {}
            path.append(path[-1][key])
    return found


def test_the_configuration_has_an_entry_for_each_stick_and_one_more_and_the_size_of_the_graph() -> None:
    entry = {"type": "zmq", "endpoint": "tcp://127.0.0.1:5555"}
    model = {
        "path": "ncs/yolox_nano",
        "width": 416,
        "height": 416,
        "input_tensor": "nhwc",
        "input_pixel_format": "rgb",
        "input_dtype": "int",
    }
    assert parsed(frigate.configuration(document(SERVED), None, 1)) == {"detectors": {"ncs1": entry, "ncs2": entry}, "model": model}


def test_without_a_number_the_sticks_at_work_are_counted() -> None:
    shown = document(SERVED)
    assert len(parsed(frigate.configuration(shown, None, None))["detectors"]) == len(shown.clusters.active) + 1 == 3


def test_slow_sticks_have_no_entry_more_than_they_answer_in_time() -> None:
    shown = document(SERVED)
    slow = structs.replace(shown.sticks[0], latency_ms=LatencyStatus(100.0, 110.0))
    shown = structs.replace(shown, sticks=[slow, *shown.sticks[1:]])
    assert [len(parsed(frigate.configuration(shown, None, sticks))["detectors"]) for sticks in (1, 2, 3)] == [1, 2, 4]


def test_frigate_waits_longer_than_a_longer_deadline() -> None:
    detectors = parsed(frigate.configuration(document(structs.replace(SERVED, deadline_ms=480)), None, 1))["detectors"]
    assert [each["request_timeout_ms"] for each in detectors.values()] == [500, 500]


def test_another_graph_its_colours_and_labels_are_told() -> None:
    shown = document(structs.replace(SERVED, colours="BGR", own_labels=True), graphs=("yolox_nano", "demo"))
    model = parsed(frigate.configuration(shown, "demo", 1))["model"]
    assert (model["path"], model["width"], model["height"], model["input_pixel_format"]) == ("ncs/demo", 300, 200, "bgr")
    assert model["labelmap_path"] == "/config/labelmap.txt"


def test_an_address_of_all_interfaces_is_one_to_connect_to() -> None:
    shown = document(structs.replace(SERVED, address="tcp://*:5556"))
    assert parsed(frigate.configuration(shown, None, 1))["detectors"]["ncs1"]["endpoint"] == "tcp://127.0.0.1:5556"


@pytest.mark.parametrize(
    ("shown", "graph", "sticks", "line"),
    [
        (document(), None, None, "does not serve Frigate; start it with --frigate"),
        (document(structs.replace(SERVED, address=None)), None, None, "does not serve Frigate yet"),
        (document(SERVED, graphs=()), None, None, "has no graph; start it"),
        (document(SERVED), "x", None, "has no graph x; it has yolox_nano"),
        (document(SERVED, graphs=("new",)), None, None, "no stick has opened new yet"),
        (document(SERVED), None, 0, "--sticks must be 1 to 256, not 0"),
    ],
)
def test_what_frigate_cannot_use_is_told(shown: Status, graph: str | None, sticks: int | None, line: str) -> None:
    with pytest.raises(frigate.NotServed, match=line):
        frigate.configuration(shown, graph, sticks)


def test_the_status_lists_the_clients_and_what_is_strange_about_them() -> None:
    strange = "has shaken hands and never sent a frame"
    clients = [
        IntakeClient("10.0.0.2 yolox_nano", 900, 890, 7, 0.0, None, 4, 3),
        IntakeClient("10.0.0.3 demo", 0, 0, 0, 120.0, strange, 1),
    ]
    lines = [
        "".join(cell.text for cell in line).rstrip() for line in show.intakes(document(structs.replace(SERVED, clients=clients)))
    ]
    assert [line.split() for line in lines] == [
        ["INTAKE", "ADDRESS", "STATE", "ANSWERS/s", "p50/p99", "ms", "ANSWERED", "FAILED"],
        ["frigate", "tcp://127.0.0.1:5555", "running", "78.1", "51/60", "4000", "2"],
        [],
        ["CLIENT", "OF", "FRAMES", "ANSWERED", "SHED", "LATE", "HANDSHAKES", "SEEN"],
        ["10.0.0.2", "yolox_nano", "frigate", "900", "890", "3", "7", "4", "now"],
        ["10.0.0.3", "demo", "frigate", "0", "0", "0", "0", "1", "2", "min", "0", "s", "ago"],
        ["10.0.0.3", "demo:", *strange.split()],
    ]
    assert show.intakes(document()) == []

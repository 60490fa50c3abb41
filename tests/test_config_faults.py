"""All faults of a file are told at once, each with its line; what is right beside a fault is judged too."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest

from ncs_cluster.config.faults import faults
from ncs_cluster.errors import ConfigError
from tests.oneconfig import NO_GRAPH, Write
from tests.test_config_errors import test_a_wrong_key_is_told_with_file_key_and_remedy as one_by_one


def told(write: Write, text: str, *argv: str) -> list[str]:
    """The faults, with FILE for the file."""
    found, settings, _ = faults([*NO_GRAPH, *write(text), *argv], {})
    assert (settings is None) == bool(found)
    return [line.replace(str(write.path), "FILE") for line in found]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return Write(tmp_path / "ncs.toml")


def test_every_fault_has_a_line_in_the_order_of_the_file_and_those_of_flags_come_last(write: Write) -> None:
    text = """\
stikcs = 2
threshold = "high"
switch_temp = 500
listen = "0.0.0.0:8080"

[cameras.a]
source = "/nope.mp4"

[cameras.b]
source = "synthetic"
wieght = 3

[cameras.c]
source = "usb:x"

[simulated]
latency-ms = -1

[fan]
chip = "x"
full_below = 30.0
"""
    lines = told(write, text, "--set", "a.b=3")
    assert [line.split(";")[0] for line in lines] == [
        "FILE:1: stikcs: unknown key",
        'FILE:2: threshold: must be a number, not "high"',
        "FILE:3: switch_temp: must be at most 120, not 500",
        "FILE:4: listen: 0.0.0.0:8080 can be reached from other machines",
        'FILE:7: cameras.a.source: "/nope.mp4": there is no such file or folder',
        "FILE:11: cameras.b.wieght: unknown key",
        'FILE:14: cameras.c.source: "usb:x": wants a number, as in usb:0',
        "FILE:17: simulated.latency_ms: latency_ms must be 0 or more",
        "FILE:21: fan.full_below: full_below (30 K) must be less than off_above (20 K)",
        "--set a.b: unknown key",
    ]


def test_settings_without_a_fault_are_made(write: Write) -> None:
    found, settings, notices = faults([*NO_GRAPH, *write("sticks = 3\nfps = 5\nsource = 'synthetic'")], {})
    assert (found, notices) == ([], [])
    assert settings is not None
    assert len(settings.sticks) == 3


def test_each_graph_is_judged_by_itself(write: Write) -> None:
    found, _, _ = faults(["--backend", "simulated", *write('graph = ["demo", "nope", "neither"]')], {})
    assert [line.split('"')[1] for line in found] == ["nope", "neither"]


@pytest.mark.parametrize("text", ['fallback = "cpu"', '[fallback]\nbackend = "cpu"\nstandby = false'])
def test_a_wrong_backend_of_the_fallback_is_not_called_missing_too(write: Write, text: str) -> None:
    (only,) = faults(["--backend", "simulated", "--source", "synthetic", *write(text)], {})[0]
    assert "fallback.backend: must be one of" in only


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = [", "FILE: is not TOML: "),
        ("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q = 1", "FILE: is not TOML: line 1: a key has more than"),
    ],
)
def test_what_cannot_be_read_is_one_fault(write: Write, text: str, line: str) -> None:
    (only,) = told(write, text)
    assert only.startswith(line)


def test_a_file_that_is_not_there_is_one_fault() -> None:
    assert faults(["--config", "/nope.toml"], {})[0] == [
        "/nope.toml: cannot be read: No such file or directory; give --config a file that can"
    ]


@pytest.mark.parametrize(("text", "line"), cast("Any", one_by_one).pytestmark[0].args[1])
def test_the_fault_that_would_be_raised_is_among_those_that_are_told(write: Write, text: str, line: str) -> None:
    lines = told(write, text)
    assert any(each.partition(": ")[2].startswith(line.split(" (and")[0]) for each in lines)
    assert all("\n" not in each and each.isprintable() for each in lines)


def test_a_broken_package_is_a_fault_and_no_traceback(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tree: object) -> None:
        raise ConfigError("broken")

    monkeypatch.setattr(import_module("ncs_cluster.config.merged"), "root_for", broken)
    assert told(write, "") == ["broken"]

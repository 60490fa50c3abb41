"""Calibrations in the state directory reach the policy of every pool; what is none is left out and told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ncs_cluster import config
from ncs_cluster.specs import DieFigures, Settings

GOOD = {"die_rise_k": 30.0, "die_s": 50.0, "case_rise_k": 20.0, "case_s": 400.0, "sigma": 0.05}


def read(state: Path) -> Settings:
    return config.load(["--backend", "simulated", "--no-web", "--source", "synthetic", "--state-dir", str(state)], {})


def write(state: Path, name: str, text: str) -> Path:
    file = state / "thermal" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_figures_are_those_of_the_stick_that_the_file_is_named_for(tmp_path: Path) -> None:
    write(tmp_path, "sim-2.json", json.dumps({"version": "1", "figures": GOOD, "samples": [[0, 1.0, 40.0, 0.0, 0]]}))
    write(tmp_path, "ncs-1-1.2.json", json.dumps({"figures": {**GOOD, "die_s": 60.0}}))
    write(tmp_path, "sim-1.part", "{}")
    settings = read(tmp_path)
    assert settings.pools[0].clusters.calibrated == {
        "sim-2": DieFigures(30.0, 50.0, 20.0, 400.0, 0.05),
        "ncs-1-1.2": DieFigures(30.0, 60.0, 20.0, 400.0, 0.05),
    }
    assert settings.notices == []


def test_without_calibrations_there_are_none(tmp_path: Path) -> None:
    settings = read(tmp_path / "none")
    assert (settings.pools[0].clusters.calibrated, settings.notices) == ({}, [])


TOLD = "is no calibration and is not used; make it again with ncsctl calibrate, or remove it"


def test_what_is_no_small_file_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "thermal"
    folder.mkdir()
    (folder / "sim-1.json").symlink_to("/dev/zero")
    os.mkfifo(folder / "sim-2.json")
    (folder / "sim-3.json").mkdir()
    (folder / "sim-4.json").symlink_to("/nowhere")
    with (folder / "sim-5.json").open("wb") as file:
        file.truncate(1 << 40)
    settings = read(tmp_path)
    assert settings.pools[0].clusters.calibrated == {}
    assert settings.notices == [f"{folder / f'sim-{number}.json'}: {TOLD}" for number in range(1, 6)]


@pytest.mark.parametrize("content", [b'{"figures": "\xff"}', b'{"other": ' + 100_000 * b"["])
def test_a_file_that_cannot_be_decoded_is_not_used_and_is_told(content: bytes, tmp_path: Path) -> None:
    file = write(tmp_path, "sim-1.json", "")
    file.write_bytes(content)
    assert read(tmp_path).notices == [f"{file}: {TOLD}"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00",
        "{}",
        json.dumps({"figures": {**GOOD, "die_s": "long"}}),
        json.dumps({"figures": {**GOOD, "die_s": 0.0}}),
        json.dumps({"figures": {**GOOD, "case_rise_k": -3.0}}),
        json.dumps({"figures": {**GOOD, "case_s": 1e9}}),
        json.dumps({"figures": {**GOOD, "sigma": 0.9}}),
    ],
)
def test_a_file_that_is_none_is_not_used_and_is_told(text: str, tmp_path: Path) -> None:
    file = write(tmp_path, "sim-1.json", text)
    settings = read(tmp_path)
    assert settings.pools[0].clusters.calibrated == {}
    assert settings.notices == [f"{file}: {TOLD}"]

"""ncsctl simulate: its table says what the laboratory found, its picture shows it, and bad input costs one line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ncs_cluster.cli.simulate import main
from ncs_cluster.cli.simulate.arguments import parse
from ncs_cluster.cli.simulate.command import Simulated, scenario
from ncs_cluster.cli.simulate.plot import COLOURS, png
from ncs_cluster.testing.thermal_lab import bound
from ncs_cluster.testing.thermal_lab.trial import Trial
from tests.conftest import ROOT

ROOM = ["--sticks", "3", "--cluster-size", "1", "--ambient", "40", "--hours", "0.5", "--seed", "5"]


def test_the_table_says_what_the_trial_of_this_seed_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ROOM, "--policy", "ring", "--switch-interval", "20"]) == 0
    told = capsys.readouterr().out
    trial = Trial(scenario(parse(ROOM)), "ring", 5, interval_s=20.0)
    result = trial.run()
    assert told.startswith("simulation: 3 sticks, 1 at a time, air 40 °C, 30 min 0 s; --seed 5 --spread 20\n")
    best = bound.steady(trial.plant.network, 40.0, 65.0, 1)
    assert f"no policy can sustain more than {best:.1f} inferences a second under 65 °C" in told
    cells = re.split(r" {2,}", told.splitlines()[-1].strip())
    assert cells[:4] == ["ring", f"{result.rate:.1f}", f"{result.steady_share:.1%}", f"{result.hottest_c:.1f} °C"]
    assert cells[5:8] == ["0 times", str(result.switches), f"{result.gap_s:.2f} s"]


def test_all_policies_are_compared_on_the_same_sticks_and_the_original_is_the_one_over_the_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*ROOM, "--compare", "--rise", "-4"]) == 0
    told = capsys.readouterr().out
    assert "air 40 °C, 36 °C from half of the time on" in told
    rows = {row[0]: row for row in (re.split(r" {2,}", line.strip()) for line in told.splitlines()[5:])}
    assert list(rows) == ["original", "ring", "all", "coolest", "predictive"]
    hottest = {name: float(row[3].removesuffix(" °C")) for name, row in rows.items()}
    assert max(hottest, key=lambda name: hottest[name]) == "original"
    assert hottest["predictive"] <= 65.0
    assert rows["predictive"][4] == "0 s"


def test_a_policy_without_clusters_and_the_original_with_all_its_sticks_need_no_cluster_size(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--sticks", "2", "--compare", "--hours", "0.2", "--seed", "1"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[5:]]
    assert names == ["original", "all", "coolest", "predictive"]


@pytest.mark.parametrize("policies", [["ring"], ["all", "ring"]])
def test_the_picture_shows_every_line_at_its_height(policies: list[str]) -> None:
    given = parse(ROOM)
    done = []
    for policy in policies:
        trial = Trial(scenario(given), policy, 5)
        trial.traced = True
        done.append(Simulated(policy, trial, trial.run()))
    picture = cv2.imdecode(np.frombuffer(png(done, "a title"), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    half = picture[:, : picture.shape[1] // 2].astype(int)
    # the axis of temperatures goes from 0 to 80 °C between its two outermost grid lines
    faint = np.abs(half - (225, 222, 218)).max(axis=2) < 12
    grid = np.flatnonzero(faint.sum(axis=1) > half.shape[1] / 2)
    ink = np.abs(half - (60, 50, 45)).max(axis=2) < 12
    bottom, top = int(np.flatnonzero(ink.sum(axis=1) > half.shape[1] / 2)[0]), int(grid[0])
    for number, colour in enumerate(COLOURS[: len(policies) if len(policies) > 1 else 3]):
        coloured = np.abs(half - colour).max(axis=2) < 30
        coloured[: top - 5] = False
        highest_c = (bottom - np.flatnonzero(coloured.any(axis=1))[0]) / (bottom - top) * 80.0
        traces = [trial.trace for _, trial, _ in done]
        expected_c = max(max(dies) for _, dies, _ in traces[number]) if len(policies) > 1 else None
        if expected_c is None:
            expected_c = max(dies[number] for _, dies, _ in traces[0])
        assert highest_c == pytest.approx(expected_c, abs=1.0)


def test_the_command_draws_into_a_file_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "drawn.png"
    done = subprocess.run(
        [sys.executable, "-m", "ncs_cluster.cli.ncsctl", "simulate", *ROOM, "--policy", "all", "--plot", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"\ndrawn: {file}\n")
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--sticks", "0"], "--sticks must be 1 to 64"),
        (["--sticks", "3", "--cluster-size", "4"], "--cluster-size must be 0 to 3, the number of sticks"),
        (["--policy", "ring"], "--policy ring needs a --cluster-size of at most half of the sticks"),
        (["--policy", "warmest"], '--policy: there is no policy "warmest"'),
        (["--policy", "all", "--compare"], "--compare simulates all policies: leave --policy out"),
        (["--ambient", "nan"], "argument --ambient: 'nan' is no number from -30 to 60"),
        (["--hours", "1e9"], "argument --hours: '1e9' is no number from 0.1 to 48"),
    ],
)
def test_a_wrong_command_line_costs_one_line(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(flags)
    assert raised.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


def test_a_picture_that_cannot_be_written_costs_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "none" / "x.png"
    assert main(["--sticks", "1", "--hours", "0.1", "--seed", "1", "--plot", str(file)]) == 2
    assert capsys.readouterr().err == f"ncsctl simulate: {file}: No such file or directory\n"


def pixels(path: Path) -> NDArray[np.int64]:
    read = cv2.imread(str(path))
    assert read is not None
    return read.astype(np.int64)


def test_the_picture_of_the_documentation_is_what_its_command_draws(tmp_path: Path) -> None:
    """Whoever changes a policy or the model draws it anew."""
    page = (ROOT / "docs/thermal.md").read_text()
    (command,) = re.findall(r"ncsctl simulate (.* --plot) predictive\.png", page)
    assert main([*command.split(), str(tmp_path / "now.png")]) == 0
    now, shown = map(pixels, (tmp_path / "now.png", ROOT / "docs/images/heat-predictive.png"))
    assert now.shape == shown.shape
    # another release of OpenCV may smooth edges otherwise
    assert np.mean(np.abs(now - shown).max(axis=2) > 40) < 0.002

"""The daemon runs plugins of another package: its command, its settings, its results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ncs_cluster.cli.daemon import main
from ncs_cluster.config import load
from ncs_cluster.errors import ConfigError
from tests import forked


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    folder = tmp_path / "grey"
    folder.mkdir()
    (folder / "graph.toml").write_text('model = "model.bin"\n[decoder]\nname = "example"\nbright_from = 25.0\n')
    (folder / "model.bin").write_text("nothing is needed")
    return folder


def test_the_command_runs_them_and_each_result_is_that_of_its_frame(graph: Path, tmp_path: Path) -> None:
    results, table = tmp_path / "found.jsonl", tmp_path / "table.csv"
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "ncs_cluster.cli.daemon", "--backend", "example", "--source", "grey=example:6"),
            *("--graph", str(graph), "--policy", "example", "--no-web"),
            *("--results", str(results), "--results", f"example:{table}", "--set", "sinks.example.separator=;"),
            *("--runtime-dir", str(tmp_path / "run"), "--state-dir", str(tmp_path / "state")),
            *("--set", "cameras.grey.options.step=10", "--set", "example.in_flight=3"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    records = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(record["camera"], record["frame"], record["graph"]) for record in records] == [
        ("grey", number, "grey") for number in range(6)
    ], "each frame once and in order"
    sticks = [record["stick"] for record in records]
    assert set(sticks) <= {"example-1", "example-2"}
    assert sticks == sorted(sticks, reverse=True), "the policy lets one stick work: the first of the ring, once it is ready"
    labels = ["dark", "dark", "dark", "bright", "bright", "bright"]
    assert [record["classes"] for record in records] == [
        [{"label": label, "label_id": int(label == "bright"), "score": pytest.approx(10 * number / 255, abs=1e-4)}]
        for number, label in enumerate(labels)
    ]
    assert table.read_text() == "".join(f"{number};grey;{label}\n" for number, label in enumerate(labels))


def test_their_options_are_judged_as_ours_are(graph: Path, tmp_path: Path) -> None:
    file = tmp_path / "ncs.toml"
    file.write_text(
        f"backend = 'example'\nsticks = 3\ngraph = '{graph}'\n[example]\nin-flight = 4\n[policy]\nname = 'example'\nsticks = 2\n"
    )
    asked = load(["--config", str(file)], {})
    assert [stick.id for stick in asked.sticks] == ["example-1", "example-2", "example-3"]
    assert {stick.port for stick in asked.sticks} == {"example device 1", "example device 2", "example device 3"}
    assert asked.sticks[0].options == {"in_flight": 4}
    assert (asked.pools[0].clusters.policy, asked.pools[0].clusters.policy_options) == ("example", {"sticks": 2})
    assert asked.graphs[0].decoder_options == {"bright_from": 25.0}


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--set", "example.in_flight=0"], "--set example.in_flight: in_flight must be 1 to 16"),
        (["--set", "example.inflight=2"], "--set example.inflight: unknown key; did you mean in_flight?"),
        (["--source", "example:x"], '--source: "example:x": wants a number of frames, as in example:10'),
        (
            ["--set", "cameras.a={source='example', options={frames=0}}"],
            "--set cameras.a: options.frames: frames must be 1 to 1000",
        ),
        (["--policy", "example", "--set", "policy.sticks=0"], "--set policy.sticks: sticks must be 1 or more"),
        (["--backend", "exmaple"], '--backend: must be one of auto, simulated, openvino, xlink, myriad, example, not "exmaple"'),
        (["--source", "exmaple:3"], "or a folder of pictures, a video file, example"),
    ],
)
def test_what_is_wrong_with_them_is_told_in_one_line(graph: Path, flags: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(["--backend", "example", "--graph", str(graph), *flags], {})
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_graph_that_is_not_the_decoders_is_refused_before_anything_starts(graph: Path, tmp_path: Path) -> None:
    (graph / "graph.toml").write_text('model = "model.bin"\ndecoder = "ssd"\n')
    ended = forked.run(main, ["ncs-clusterd", "--backend", "example", "--graph", str(graph), "--no-web"])
    assert ended.returncode == 78
    assert 'decoder "ssd" needs an output of shape [1, 1, N, 7]' in ended.stderr
    assert "and the graph gives brightness [1]" in ended.stderr


def test_a_package_that_is_broken_is_one_line_and_costs_nothing_where_it_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "site/broken_package-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ncs_cluster.backends]\nbroken = no_such_package:PLUGIN\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert load(["--backend", "simulated"], {}).sticks[0].backend == "simulated"
    with pytest.raises(ConfigError) as refused:
        load(["--backend", "broken"], {})
    assert str(refused.value) == (
        'backend "broken" of another package (no_such_package:PLUGIN) cannot be loaded: '
        "ModuleNotFoundError: No module named 'no_such_package'; repair or uninstall that package"
    )

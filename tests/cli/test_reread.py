"""Settings that are read again for a running daemon: judged whole, in one line, and what was found at its start stays."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ncs_cluster import config
from ncs_cluster.cli.reread import read
from ncs_cluster.config import graph_folder
from ncs_cluster.fleet import graph_files
from ncs_cluster.processes.reloading import Again, Answer
from ncs_cluster.specs import Settings

FILE = """\
backend = "simulated"
sticks = 2
threshold = 0.5

[cameras.film]
source = "synthetic"
"""


class Read:
    """A daemon's settings, which are read again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "ncs.toml"
        self.argv = ["--config", str(self.file), "--graph", "none", "--no-web"]
        self.file.write_text(FILE)
        self.running = config.load(self.argv, {})

    def again(self, text: str | None = None) -> Answer:
        if text is not None:
            self.file.write_text(text)
        return msgspec.msgpack.decode(msgspec.msgpack.encode(read(Again(self.argv, self.running))), type=Answer)

    def settings(self, text: str | None = None) -> Settings:
        answer = self.again(text)
        assert answer.error is None
        return msgspec.msgpack.decode(answer.settings, type=Settings)


@pytest.fixture
def daemon(tmp_path: Path) -> Read:
    return Read(tmp_path)


def test_settings_that_have_not_changed_are_those_in_effect(daemon: Read) -> None:
    assert daemon.settings() == daemon.running


def test_every_key_comes_with_its_origin(daemon: Read) -> None:
    shown = {each.key: (each.value, each.origin) for each in daemon.again().shown}
    assert shown["threshold"] == (0.5, f"{daemon.file}:3")
    assert shown["graph"] == (["none"], "--graph")


def test_the_flags_that_the_daemon_was_started_with_still_beat_the_file(daemon: Read) -> None:
    assert daemon.settings(FILE.replace("sticks", 'graph = ["demo"]\nsticks')).graphs == []
    assert len(daemon.settings(FILE.replace("sticks = 2", "sticks = 3")).sticks) == 3


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("threshold = 0.5", "threshold = [", " is not TOML: "),
        ("[cameras.film]", "[cameras.film]\n[cameras.film]", " is not TOML: "),
        ("threshold", "thresholt", "3: thresholt: unknown key; did you mean threshold?"),
        ("sticks = 2", "sticks = true", "2: sticks: must be a whole number, not true"),
        ('"synthetic"', '"/nope.mp4"', '6: cameras.film.source: "/nope.mp4": there is no such file or folder'),
        ("sticks", "cluster-size = 2\nsticks", "2: cluster_size: 2 of 2 sticks: at most half may work"),
        ("sticks", 'token-file = "/nope"\nsticks', "2: token_file: "),
        ("sticks", 'policy = "rnig"\nsticks', '2: policy: there is no policy "rnig"; known: ring'),
    ],
)
def test_a_fault_of_any_kind_is_one_line_that_names_file_and_key(daemon: Read, old: str, new: str, line: str) -> None:
    if "token" in line:
        daemon.argv.remove("--no-web")
    answer = daemon.again(FILE.replace(old, new))
    assert (answer.error or "").startswith(f"{daemon.file}:{line}")
    assert (answer.error or "").isprintable()
    assert answer.settings == msgspec.Raw(b"\xc0")


def test_a_file_that_is_gone_is_a_fault(daemon: Read) -> None:
    daemon.file.unlink()
    why = "cannot be read: No such file or directory; give --config a file that can"
    assert daemon.again().error == f"{daemon.file}: {why}"


def test_a_graph_that_cannot_be_loaded_is_a_fault_and_one_that_is_loaded_is_not_tried_again(
    daemon: Read, small_graph_folder: Path
) -> None:
    daemon.argv = ["--config", str(daemon.file), "--no-web"]
    folder = daemon.folder / "small"
    folder.mkdir()
    for file in small_graph_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    with_graph = FILE.replace("sticks", f'graph = ["{folder}"]\nsticks')
    assert [graph.name for graph in daemon.settings(with_graph).graphs] == ["small"]
    daemon.running = daemon.settings()
    (folder / "small.bin").write_bytes(b"")
    assert daemon.settings(with_graph.replace("0.5", "0.7")).graphs[0].threshold == 0.7
    daemon.running = msgspec.structs.replace(daemon.running, graphs=[])
    assert (daemon.again().error or "").startswith(f"graph small: {folder}/small.xml: ")


def test_the_backend_that_auto_has_found_at_the_start_stays(tmp_path: Path) -> None:
    argv = ["--graph", "demo", "--no-web", "--set", f"discovery.sysfs={tmp_path}"]
    (tmp_path / "bus" / "usb" / "devices").mkdir(parents=True)
    running = config.load(argv, {})
    assert {stick.backend for stick in running.sticks} == {"openvino"}
    device = tmp_path / "bus" / "usb" / "devices" / "1-1"
    device.mkdir()
    for name, text in {"idVendor": "03e7", "idProduct": "2485", "busnum": "1", "devnum": "5", "serial": "03e72485"}.items():
        (device / name).write_text(f"{text}\n")
    again = config.read(argv, {}, running=running)[0]
    assert again == msgspec.structs.replace(running, notices=again.notices)
    assert not any("plugged in" in notice for notice in again.notices)


def test_results_of_the_camera_that_runs_do_not_make_it_another_one(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a.png", "b.png"):
        (pictures / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    results = tmp_path / "results.jsonl"
    argv = ["--backend", "simulated", "--graph", "none", "--no-web", "--source", f"p={pictures}", "--results", str(results)]
    running = config.load(argv, {})
    results.write_text('{"schema": 1, "camera": "p", "frame": 0, "item": "a.png", "graph": "none"}\n')
    assert config.load(argv, {}).cameras[0].written == {"none": 0}
    assert config.read(argv, {}, running=running)[0] == running


def guest(daemon: Read, small_graph_folder: Path) -> tuple[str, str]:
    """The name and the folder of a graph that another machine has sent."""
    spec = graph_folder.read(small_graph_folder, "small", None)
    found, folder = graph_files.sources(spec), daemon.folder / "guest"
    folder.mkdir()
    for name, part in zip(found.names, [found.description, *(Path(path).read_bytes() for path in found.paths)], strict=True):
        (folder / name).write_bytes(part)
    return "small@0123456789ab", str(folder)


def with_guests(daemon: Read, guests: list[tuple[str, str]]) -> Settings | str:
    """The settings with these guests, or why they are refused."""
    answer = read(Again(daemon.argv, daemon.running, guests))
    return answer.error or msgspec.msgpack.decode(answer.settings, type=Settings)


def test_guests_are_tried_and_change_nothing_else(daemon: Read, small_graph_folder: Path) -> None:
    daemon.argv = ["--config", str(daemon.file), "--no-web", "--graph", str(small_graph_folder)]
    daemon.running = config.load(daemon.argv, {})
    name, folder = guest(daemon, small_graph_folder)
    daemon.file.write_text(FILE.replace("0.5", "0.7"))
    found = with_guests(daemon, [(name, folder)])
    assert isinstance(found, Settings)
    assert [graph.name for graph in found.guests] == [name]
    assert msgspec.structs.replace(found, guests=[]) == daemon.running
    (Path(folder) / "model.bin").write_bytes(b"")
    assert str(with_guests(daemon, [(name, folder)])).startswith(f"graph {name}: {folder}/model.xml: ")
    assert with_guests(daemon, []) == daemon.running


def test_a_daemon_without_a_graph_takes_no_guests(daemon: Read, small_graph_folder: Path) -> None:
    why = "the daemon runs without a graph of its own, so it takes none of other machines"
    assert with_guests(daemon, [guest(daemon, small_graph_folder)]) == why


def test_guests_stay_when_the_file_is_read_again_for_as_long_as_it_allows_them(daemon: Read, small_graph_folder: Path) -> None:
    pytest.importorskip("nats")
    daemon.argv = ["--config", str(daemon.file), "--no-web", "--graph", str(small_graph_folder), "--state-dir", str(daemon.folder)]
    allowed = FILE.replace("[cameras", 'nats = { url = "nats://127.0.0.1", jobs = true, graphs = true }\n[cameras')
    daemon.file.write_text(allowed)
    daemon.running = config.load(daemon.argv, {})
    found = with_guests(daemon, [guest(daemon, small_graph_folder)])
    assert isinstance(found, Settings)
    daemon.running = found
    assert daemon.settings(allowed.replace("0.5", "0.7")).guests == found.guests
    assert daemon.settings(allowed.replace("graphs = true", "graphs = false")).guests == []
    assert daemon.settings(FILE).guests == []

"""The meaning of settings: what they become in the specs of the daemon."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.config.flags import ORIGINAL
from ncs_cluster.errors import ConfigError
from ncs_cluster.ipc.control_socket import default_runtime_dir
from tests.conftest import ROOT
from tests.oneconfig import Write, refusal, simulated


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return Write(tmp_path / "ncs.toml")


# -- meaning


def test_without_anything_it_is_this_cpu_a_scene_and_a_page_on_localhost(tmp_path: Path) -> None:
    asked = load(["--graph", str(a_graph(tmp_path)), "--set", f"discovery.sysfs={tmp_path}"], {})
    assert [(stick.id, stick.backend) for stick in asked.sticks] == [("cpu-1", "openvino")]
    assert [(camera.name, camera.source) for camera in asked.cameras] == [("cam0", "synthetic")]
    assert asked.gateway is not None
    assert (asked.gateway.host, asked.gateway.port, asked.gateway.token) == ("127.0.0.1", 8080, None)
    assert asked.pools[0].clusters.policy == "predictive"
    assert len(asked.notices) == 1
    assert asked.notices[0].startswith("no neural compute stick is plugged in: working on this CPU")


def a_graph(folder: Path) -> Path:
    made = folder / "some-graph"
    made.mkdir()
    (made / "graph.toml").write_text('model = "m.xml"\ndecoder = "ssd"\n')
    (made / "m.xml").write_text("<net/>")
    return made


def plug(sysfs: Path, port: str, product: str = "2485") -> None:
    device = sysfs / "bus/usb/devices" / port
    device.mkdir(parents=True)
    (device / "idVendor").write_text("03e7\n")
    (device / "idProduct").write_text(product + "\n")


def test_a_stick_that_is_plugged_in_and_cannot_be_booted_is_told_with_the_remedy(tmp_path: Path) -> None:
    plug(tmp_path, "1-1.2")
    asked = load(["--graph", str(a_graph(tmp_path)), "--set", f"discovery.sysfs={tmp_path}", "--state-dir", str(tmp_path)], {})
    assert asked.sticks[0].backend == "openvino"
    assert asked.pools[0].discovery is None
    assert asked.notices[0].startswith(
        "1 neural compute stick is plugged in (port 1-1.2), but backend xlink cannot drive any: there is no firmware"
    )


def test_cpu_workers_share_the_cores(tmp_path: Path) -> None:
    graph = str(a_graph(tmp_path))
    several = load(["--backend", "openvino", "--sticks", "2", "--graph", graph], {}).sticks
    assert [stick.options["threads"] for stick in several] == [max(1, len(os.sched_getaffinity(0)) // 2)] * 2
    chosen = load(["--backend", "openvino", "--sticks", "2", "--graph", graph, "--set", "openvino.threads=3"], {}).sticks
    assert chosen[0].options["threads"] == 3


def test_a_source_spec_names_its_door_and_shows_no_password(tmp_path: Path) -> None:
    for name in ("film.mp4", "take.bag", "take.db3", "one.JPG"):
        (tmp_path / name).write_bytes(b"x")
    specs = {
        "synthetic": ("synthetic", {}, "synthetic"),
        "realsense": ("realsense", {}, "realsense"),
        "realsense:936322": ("realsense", {"serial": "936322"}, "realsense:936322"),
        f"realsense:{tmp_path}/take.bag": ("realsense", {"recording": f"{tmp_path}/take.bag"}, f"realsense:{tmp_path}/take.bag"),
        "usb:3": ("v4l2", {"device": "3"}, "usb:3"),
        "/dev/video3": ("v4l2", {"device": "/dev/video3"}, "/dev/video3"),
        "RTSP://H/S": ("rtsp", {"url": "rtsp://H/S"}, "rtsp://H/S"),
        "rtmp://h/live/geheim": ("rtsp", {"url": "rtmp://h/live/geheim"}, "rtmp://h/live/***"),
        "rtsp://u:geheim@h/s?pwd=geheim": ("rtsp", {"url": "rtsp://u:geheim@h/s?pwd=geheim"}, "rtsp://***@h/s?pwd=***"),
        f"{tmp_path}/film.mp4": ("video", {"path": f"{tmp_path}/film.mp4"}, f"{tmp_path}/film.mp4"),
        f"{tmp_path}/one.JPG": ("images", {"path": f"{tmp_path}/one.JPG"}, f"{tmp_path}/one.JPG"),
        f"{tmp_path}/take.db3": ("realsense", {"recording": f"{tmp_path}/take.db3"}, f"{tmp_path}/take.db3"),
        f"{tmp_path}": ("images", {"path": f"{tmp_path}"}, f"{tmp_path}"),
    }
    flags = [word for text in specs for word in ("--source", text)]
    assert [(made.source, made.options, made.shown) for made in simulated(*flags).cameras] == list(specs.values())


def test_a_password_is_in_no_complaint() -> None:
    for argv in (["--every-frame"], ["--picture", "rtsp://u:geheim@h"], ["--source", "x=rtsq://u:geheim@h"]):
        assert "geheim" not in refusal("--source", "rtsp://u:geheim@h/s?pwd=geheim", *argv)
    for before in ("rtsp//u:", "rtsp:/u:", "rtsp:u:", "u:", "rtsp://u:1#", "door=rtsp//u:"):
        typo = f"{before}geheim@h/s"
        assert "geheim" not in refusal("--source", typo)
        assert "geheim" not in refusal("--picture", typo)


def test_an_address_with_a_typo_is_told_from_a_file() -> None:
    for typo in ("rtsp//u:geheim@h", "RTSP:/h/s", "http;//h", "rtsp:u:geheim@h"):
        scheme = typo[:4].lower()
        assert f"is no address of a camera: it begins with {scheme}://" in refusal("--source", typo)
    assert "there is no such file" in refusal("--source", "pictures//1.jpg")


def test_a_password_that_must_be_escaped_is_told_how() -> None:
    for password, told in (("pa#ss", "# as %23"), ("p/w", "/ as %2F"), ("p?#", "# as %23, ? as %3F")):
        assert f"in user and password write {told}" in refusal("--source", f"rtsp://u:{password}@h/s")
    (made,) = simulated("--source", "rtsp://u:pa%23ss@h/s").cameras
    assert made.options == {"url": "rtsp://u:pa%23ss@h/s"}


def test_a_film_in_shared_memory_is_a_file(tmp_path: Path) -> None:
    path = Path("/dev/shm") / f"{tmp_path.name}-{os.getpid()}.mp4"
    path.write_bytes(b"x")
    try:
        (film,) = simulated("--source", str(path), "--every-frame").cameras
        assert (film.source, film.options["path"]) == ("video", str(path))
    finally:
        path.unlink()
    assert "there is no such file" in refusal("--source", str(path))


def test_a_newline_in_a_files_name_makes_no_second_line(tmp_path: Path) -> None:
    (tmp_path / "a\nforged: line.mp4").write_bytes(b"x")
    (film,) = simulated("--source", f"{tmp_path}/a\nforged: line.mp4").cameras
    assert film.shown == f"{tmp_path}/a\\nforged: line.mp4"
    assert "\n" not in refusal("--source", f"{tmp_path}/b\nforged: line.mp4")


def test_sources_are_named_by_their_place_or_as_one_likes() -> None:
    made = simulated("--source", "usb:0", "--source", "door=usb:1", "--source", "usb:2", "--source", "cam4=usb:3")
    assert [camera.name for camera in made.cameras] == ["cam0", "door", "cam2", "cam4"]


def test_sources_of_the_command_line_replace_those_of_the_file_and_keep_a_namesake_table(write: Write) -> None:
    file = write("source = ['usb:9']\n[cameras.door]\nsource = 'usb:0'\nweight = 3\n[cameras.hall]\nsource = 'usb:1'\n")
    assert [camera.name for camera in simulated(*file).cameras] == ["cam0", "door", "hall"]
    (door,) = simulated(*file, "--source", "door=usb:5").cameras
    assert (door.options, door.weight) == ({"device": "5"}, 3)


def test_every_frame_makes_a_file_an_ordered_stream_at_the_pace_of_the_sticks(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"x")
    (film,) = simulated("--source", f"{tmp_path}/film.mp4", "--every-frame").cameras
    assert film.ordered
    assert film.options["paced"] is False
    (folder,) = simulated("--source", str(tmp_path)).cameras
    assert folder.ordered


def test_an_ordered_source_is_drawn_exactly_whatever_is_asked(tmp_path: Path, write: Write) -> None:
    (tmp_path / "film.mp4").write_bytes(b"x")
    pictures = ("--source", "scene=synthetic", "--source", f"pets={tmp_path}")
    asked = simulated(*pictures)
    assert [camera.picture for camera in asked.cameras] == ["live", "exact"]
    assert asked.notices == []
    asked = simulated(*pictures, "--picture", "live")
    assert [camera.picture for camera in asked.cameras] == ["live", "exact"]
    assert asked.notices == [
        f"--picture: live has no effect on pets ({tmp_path}), whose frames are drawn each with its own results"
    ]
    (film,) = simulated("--source", f"{tmp_path}/film.mp4", "--every-frame").cameras
    assert film.picture == "exact"
    (film,) = simulated("--source", f"{tmp_path}/film.mp4").cameras
    assert film.picture == "live"
    table = write(f"[cameras.pets]\nsource = '{tmp_path}'\npicture = 'live'\n")
    (notice,) = simulated(*table).notices
    assert "cameras.pets.picture: live has no effect on pets" in notice


def test_size_and_rate_reach_the_sources_that_know_them_and_are_told_where_none_does(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"x")
    (camera,) = simulated("--source", "usb:0", "--size", "320x240", "--fps", "15").cameras
    assert camera.options == {"device": "0", "width": 320, "height": 240, "fps": 15.0}
    asked = simulated("--source", f"{tmp_path}/film.mp4", "--fps", "15")
    assert asked.notices == ["--fps has no effect: no source here can be asked for it"]


def test_a_token_opens_the_page_to_other_machines_when_only_its_owner_can_read_it(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-good-long-token-1\n")
    token.chmod(0o640)
    page = simulated("--listen", "0.0.0.0:0", "--token-file", str(token)).gateway
    assert page is not None
    assert (page.host, page.port, page.token, page.token_file) == ("0.0.0.0", 0, "a-good-long-token-1", str(token))
    token.chmod(0o644)
    assert "can be read by everybody; chmod o-rwx" in refusal("--token-file", str(token))
    token.write_text("short")
    token.chmod(0o600)
    assert "16 characters or more" in refusal("--token-file", str(token))


def test_a_token_for_pictures_is_another_one_beside_the_pages_own(tmp_path: Path) -> None:
    token, viewer = tmp_path / "token", tmp_path / "viewer"
    for path, text in ((token, "a-good-long-token-1"), (viewer, "a-good-long-token-2")):
        path.write_text(text)
        path.chmod(0o600)
    page = simulated("--token-file", str(token), "--viewer-token-file", str(viewer)).gateway
    assert page is not None
    assert (page.viewer_token, page.viewer_token_file) == ("a-good-long-token-2", str(viewer))
    assert "without --token-file pictures need no token" in refusal("--viewer-token-file", str(viewer))
    assert "holds the token of --token-file" in refusal("--token-file", str(token), "--viewer-token-file", str(token))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "[::1]", "127.9.9.9"])
def test_localhost_needs_no_token(host: str) -> None:
    page = simulated("--listen", f"{host}:8080").gateway
    assert page is not None
    assert page.host == host.strip("[]")


@pytest.mark.parametrize("environ", [{}, {"RUNTIME_DIRECTORY": "/run/a:/run/b"}, {"XDG_RUNTIME_DIR": "/run/user/7"}])
def test_the_daemon_puts_its_socket_where_the_client_looks(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert simulated(**environ).runtime_dir == default_runtime_dir()


def test_another_interpreter_is_named_for_sticks_and_cameras(write: Write) -> None:
    file = write(
        f"[runtimes.old]\npython = '{sys.executable}'\nenv = {{ A-B = 'c' }}\n[cameras.a]\nsource = 'synthetic'\nruntime = 'old'\n"
    )
    asked = simulated(*file, "--set", "simulated.runtime=old")
    assert asked.sticks[0].runtime == asked.cameras[0].runtime == "old"
    assert asked.runtimes["old"].env == {"A-B": "c"}


ODD = ["-1", "1e308", "true", '"x"', "[]", "{ x = 1 }", '"\\u0000"']
"""One of each type."""
MORE_ODD = ["0", "nan", '""', '["x"]', "{}", "1979-05-27", '"\\ud7ff/../.."', "[[]]"]


@pytest.mark.parametrize("value", ODD)
def test_an_odd_value_of_any_key_is_settings_or_one_line(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try_everywhere(value)


@pytest.mark.parametrize("value", MORE_ODD)
def test_other_odd_values_of_any_key_are_settings_or_one_line(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try_everywhere(value)


def try_everywhere(value: str) -> None:
    """The value for each key, one after another."""
    from ncs_cluster.config.model import BACKEND_TABLES, Keys
    from ncs_cluster.config.tables import Camera, Graph, Runtime

    keys = [*Keys.model_fields, "cameras", "graphs", "runtimes", "discovery", "discovery.sysfs", "cameras.a", "runtimes.r"]
    keys += [f"cameras.a.{name}" for name in Camera.model_fields] + [
        f"cameras.a.options.{name}" for name in ("seed", "frames", "x")
    ]
    keys += [f"graphs.demo.{name}" for name in Graph.model_fields] + [f"runtimes.r.{name}" for name in Runtime.model_fields]
    keys += [f"{name}.{field}" for name, table in BACKEND_TABLES.items() for field in table.model_fields]
    for name in keys:
        said = ""
        try:
            simulated("--set", "cameras.a.source=synthetic", "--set", f"{name}={value}")
        except ConfigError as error:
            said = str(error)
        assert "\n" not in said, name


@pytest.mark.parametrize(
    ("text", "policy", "options"),
    [
        ("policy = 'all'", "all", {}),
        ("policy = 'ring'\ncluster-size = 2", "ring", {}),
        ("cluster-size = 2\n[policy]\nname = 'ring'\ndwell_s = 4", "ring", {"dwell_s": 4.0}),
        ("cluster-size = 2\n[policy]\ndwell-s = 4", "ring", {"dwell_s": 4.0}),
    ],
)
def test_a_policy_is_named_by_a_word_or_by_a_table_with_its_options(
    write: Write, text: str, policy: str, options: dict[str, float]
) -> None:
    clusters = load(write("backend = 'simulated'\n" + text), {}).pools[0].clusters
    assert (clusters.policy, clusters.policy_options) == (policy, options)


def test_a_policy_named_by_a_flag_leaves_out_the_options_of_the_files_policy(write: Write) -> None:
    file = write("backend = 'simulated'\ncluster-size = 2\n[policy]\nname = 'ring'\ndwell_s = 4\n")
    clusters = load([*file, "--policy", "all"], {}).pools[0].clusters
    assert (clusters.policy, clusters.policy_options) == ("all", {})
    clusters = load(file, {"NCS_CLUSTER_POLICY": "ring", "NCS_CLUSTER_POLICY__DWELL_S": "5"}).pools[0].clusters
    assert (clusters.policy, clusters.policy_options) == ("ring", {"dwell_s": 5.0})
    clusters = load([*file, "--set", "policy.dwell_s=6"], {}).pools[0].clusters
    assert (clusters.policy, clusters.policy_options) == ("ring", {"dwell_s": 6.0})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("policy = 'rnig'", 'ncs.toml: policy: there is no policy "rnig"; known: ring, all, coolest, predictive'),
        ("[policy]\nname = 'rnig'", 'ncs.toml: policy: there is no policy "rnig"; known: ring, all, coolest, predictive'),
        ("policy = 7", "ncs.toml: policy.name: must be text, not 7"),
        ("policy = 'ring'", "ncs.toml: policy: ring takes turns between clusters; give --cluster-size K too"),
        ("cluster-size = 2\n[policy]\ndwell_ms = 2", "ncs.toml: policy.dwell_ms: unknown key; did you mean dwell_s?"),
        ("cluster-size = 2\n[policy]\ndwell_s = 'x'", 'ncs.toml: policy.dwell_s: must be a number, not "x"'),
        ("cluster-size = 2\n[policy]\ndwell_s = -1", "ncs.toml: policy.dwell_s: dwell_s must be 0 or more"),
        ("[policy]\nname = 'all'\ndwell_s = 2", "ncs.toml: policy.dwell_s: unknown key; known here: name"),
        ("[policy]\nnam = 'all'", "ncs.toml: policy.nam: unknown key; did you mean name?"),
    ],
)
def test_a_policy_that_makes_no_sense_is_told_with_its_key(write: Write, text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write("backend = 'simulated'\n" + text), {})
    assert str(caught.value) == f"{write.path.parent}/{line}"


def test_results_go_to_each_sink_that_is_given_once(tmp_path: Path) -> None:
    first, second, third = simulated("--results", "-", "--results", f"{tmp_path}/a", "--results", f"jsonl:{tmp_path}/b").sinks
    assert (first.name, first.kind, first.options) == ("", "jsonl", {"path": "-"})
    assert (second.name, second.kind, second.options) == ("2", "jsonl", {"path": f"{tmp_path}/a"})
    assert (third.name, third.kind, third.options) == ("3", "jsonl", {"path": f"{tmp_path}/b"})
    assert refusal("--results", "-", "--results", "-") == "--results: - is given twice; keep one"
    known = "jsonl, csv, coco, yolo, megadetector, parquet, hdf5, npy, images, video"
    assert refusal("--set", "sinks.mqtt.qos=1") == f'--set sinks.mqtt.qos: there is no sink "mqtt"; known: {known}'
    assert refusal("--results", "-", "--set", "sinks.jsonl.size=1").startswith(
        "--set sinks.jsonl.size: unknown key; known here: path"
    )


def test_an_interval_of_hours_is_asked_about() -> None:
    """The original script counts milliseconds."""
    assert simulated("--switch-interval", "3600").notices == []
    asked = simulated("--cluster-size", "2", "--switch-interval", "10000")
    assert asked.notices == ["switch interval: 10000 s are 2.8 h; are milliseconds meant?"]
    assert asked.pools[0].clusters.switch_interval_s == 10_000


def test_every_flag_of_the_original_script_that_the_page_has_is_pointed_to_ours() -> None:
    page = (ROOT / "docs" / "flags.md").read_text()
    assert set(re.findall(r"^\| `(-[a-z]+)", page, re.MULTILINE)) | {"-ht"} == set(ORIGINAL)

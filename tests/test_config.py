"""Settings: which layer wins, what they mean together, and what is said when they are wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.config import load
from ncs_cluster.errors import ConfigError
from ncs_cluster.ipc.control_socket import default_runtime_dir
from ncs_cluster.specs import Settings

NO_GRAPH = ["--backend", "simulated", "--graph", "none"]


def simulated(*argv: str, **environ: str) -> Settings:
    return load([*NO_GRAPH, *argv], environ)


def refusal(*argv: str, **environ: str) -> str:
    """The line that is said."""
    with pytest.raises(ConfigError) as caught:
        load([*NO_GRAPH, *argv], environ)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return Write(tmp_path / "ncs.toml")


class Write:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, text: str | bytes) -> list[str]:
        """The flags that read a file with this text."""
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        return ["--config", str(self.path)]


# -- layers


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(write: Write) -> None:
    file = write("switch-temp = 61\nswitch_interval = 31\ncluster-size = 1\n")
    environ = {"NCS_CLUSTER_SWITCH_TEMP": "62", "NCS_CLUSTER_SWITCH_INTERVAL": "32"}
    turns = simulated(*file, "--switch-temp", "63", **environ).pools[0].clusters
    assert (turns.switch_temp_c, turns.switch_interval_s, turns.cluster_size) == (63, 32, 1)
    assert simulated().pools[0].clusters.switch_temp_c == 65


def test_every_flag_is_a_key_of_the_file_and_a_variable(write: Write, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    token.chmod(0o600)
    keys: dict[str, str] = {
        "source": '["door=synthetic"]',
        "size": '"320x240"',
        "fps": "15",
        "every_frame": "false",
        "loop": "false",
        "graph": '["none"]',
        "threshold": "0.5",
        "backend": '"simulated"',
        "sticks": "6",
        "cluster_size": "2",
        "switch_interval": "20",
        "switch_temp": "60",
        "policy": '"ring"',
        "picture": '"exact"',
        "background": '"remove"',
        "window": "true",
        "results": f'"{tmp_path}/out.jsonl"',
        "listen": '"0.0.0.0:9000"',
        "token_file": f'"{token}"',
        "allowed_host": '["pi.local"]',
        "no_web": "false",
        "runtime_dir": f'"{tmp_path}/run"',
        "state_dir": f'"{tmp_path}/state"',
        "log_level": '"debug"',
    }
    from ncs_cluster.config.model import Keys

    assert set(keys) == set(Keys.model_fields)
    file = write("".join(f"{name} = {value}\n" for name, value in keys.items()))
    by_file = load(file, {})
    by_environment = load([], {f"NCS_CLUSTER_{name.upper()}": value for name, value in keys.items()})
    flags: list[str] = []
    for name, value in keys.items():
        if value != "false":
            flags += [f"--{name.replace('_', '-')}"] + ([] if value == "true" else [value.strip('["]')])
    by_flags = load(flags, {})
    assert by_file == by_environment == by_flags
    assert by_file.cameras[0].name == "door"
    assert by_file.gateway is not None
    assert by_file.gateway.token == "0123456789abcdef"


def test_set_reaches_any_key_and_a_value_that_is_no_toml_is_text() -> None:
    asked = simulated("--set", "simulated.latency_ms=33", "--set", "simulated.faults=hang@5", "--set", 'cameras."a.b".source=usb:1')
    assert asked.sticks[0].options == {"latency_ms": 33.0, "faults": ["hang@5"]}
    assert [(camera.name, camera.options) for camera in asked.cameras] == [("a.b", {"device": "1"})]
    assert simulated("--set", "results=7", "--set", "no-web=true").sinks


def test_tables_are_reached_from_the_environment_too() -> None:
    asked = simulated(NCS_CLUSTER_SIMULATED__TIME_SCALE="20", NCS_CLUSTER_CAMERAS__DOOR__SOURCE="usb:2")
    assert asked.pools[0].clusters.time_scale == 20
    assert asked.cameras[0].name == "door"


def test_an_empty_variable_and_those_of_the_test_suite_say_nothing() -> None:
    assert simulated(NCS_CLUSTER_TOKEN_FILE="", NCS_CLUSTER_CI="1", NCS_CLUSTER_TEST_DATA="/x") == simulated()


def test_the_file_may_be_named_by_the_environment_and_paths_in_it_are_relative_to_it(write: Write, tmp_path: Path) -> None:
    write('results = "out.jsonl"\n')
    sinks = simulated(NCS_CLUSTER_CONFIG=str(tmp_path / "ncs.toml")).sinks
    assert [(sink.kind, sink.options) for sink in sinks] == [("jsonl", {"path": str(tmp_path / "out.jsonl")})]


# -- complaints: FILE: key: what; remedy


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cluster_sise = 2", "cluster_sise: unknown key; did you mean cluster_size?"),
        ("[simulated]\nlatency = 4", "simulated.latency: unknown key; did you mean latency_ms?"),
        ("[cameras.door]\nsource = 'usb:0'\nwheight = 4", "cameras.door.wheight: unknown key; did you mean weight?"),
        (
            "[cameras.a]\nsource = 'usb:0'\n[cameras.a.options]\nwide = 4",
            "cameras.a.options.wide: unknown key; did you mean width?",
        ),
        ("[quux]\nlion = 4", "quux: unknown key; ncs-clusterd --help"),
        ("[cameras.a]\nsource = 'usb:0'\n[cameras.a.simulated]\nx = 1", "cameras.a.simulated: unknown key; known here: source"),
        ("[discovery]\nxyz = 4", "discovery.xyz: unknown key; known here: sysfs, stagger_s"),
        ("sticks = 'four'", 'sticks: must be a whole number, not "four"'),
        ("sticks = true", "sticks: must be a whole number, not true"),
        ("sticks = 2.5", "sticks: must be a whole number, not 2.5"),
        ("switch_temp = nan", "switch_temp: must be a finite number, not nan"),
        ("switch_interval = -1", "switch_interval: must be at least 0, not -1"),
        ("switch_interval = inf", "switch_interval: must be a finite number, not inf"),
        ("threshold = 1.5", "threshold: must be at most 1, not 1.5"),
        ("cameras = 3", "cameras: must be a table, not 3"),
        ("simulated = 3", "simulated: must be a table, not 3"),
        ("source = 3", "source: must be a list, not 3"),
        ("picture = 'none'", "picture: must be one of 'live', 'exact', not \"none\""),
        ("results = [3]", "results.0: must be text, not 3"),
        ("[simulated]\njitter_ms = -1", "simulated.jitter_ms: jitter_ms must be 0 or more"),
        ("[runtimes.old]\nenv = {}", "runtimes.old.python: is missing; it must be given"),
        ("[runtimes.old]\npython = '/nope'", "runtimes.old.python: /nope is no program"),
        ("[runtimes.old]\npython = 'python3'\nenv = {'A=B' = '3'}", 'runtimes.old.env: "A=B" cannot be in an environment'),
        ("[cameras.a]\nsource = 'synthetic'\nsticks = 2", "cameras.a.sticks: unknown key here; it belongs to no table"),
        ("[cameras.a]\nsource = 'synthetic'\noptions.fps = 0", "cameras.a.options.fps: fps must be more than 0 and at most 1000"),
        (
            "[runtimes.old]\npython = '/bin/false'",
            "runtimes.old.python: /bin/false cannot run our processes: exit",
        ),
        ("[simulated]\nruntime = 'old'", "simulated.runtime: there is no [runtimes.old]; known: default"),
        ("[cameras.Front]\nsource = 'usb:0'", 'cameras.Front: camera name "Front": a name is made of a-z'),
        ("[cameras.front]\nweight = 2", "cameras.front: source is missing; give it one, or use --source front=SPEC"),
        ("cluster-size = 1\ncluster_size = 2", "cluster_size: is given twice, with - and with _; keep one"),
    ],
)
def test_a_wrong_key_is_told_with_file_key_and_remedy(write: Write, text: str, line: str) -> None:
    assert refusal(*write(text)).startswith(f"{write.path}: {line}")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"\x80\x81\xff", "is not text"),
        (b"a = [", "is not TOML: "),
        (b"a = " + b"[" * 100_000, "is nested too deeply"),
        (b"#" * 10_000_000, "is larger than 1 MB"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(write: Write, data: bytes, line: str) -> None:
    assert refusal(*write(data)).startswith(f"{write.path}: {line}")


def test_a_mark_of_byte_order_is_no_part_of_the_settings(write: Write) -> None:
    assert len(simulated(*write(b"\xef\xbb\xbfsticks = 3\n")).sticks) == 3


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert refusal("--config", str(tmp_path / "no.toml")).endswith(
        "no.toml: cannot be read: No such file or directory; give --config a file that can"
    )
    assert "is not a file" in refusal("--config", str(tmp_path))


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--switch-temp", "hot"], '--switch-temp: must be a number, not "hot"'),
        (["--switch-temp", "nan"], "--switch-temp: must be a finite number, not nan"),
        (["--sticks", "0"], "--sticks: must be at least 1, not 0"),
        (["--fps", "0"], "--fps: must be more than 0, not 0"),
        (["--size", "99999x48"], "--size: width x height must be 64x48 to 4096x4096, not 99999x48"),
        (["--size", "big"], '--size: must look like 640x480, not "big"'),
        (["--switch-tmp", "5"], "--switch-tmp: unknown flag; did you mean --switch-temp?"),
        (["usb:0"], "usb:0: is no flag; a source is given as --source usb:0"),
        (["--sticks"], "--sticks: expected one argument; ncs-clusterd --help lists all flags"),
        (["--source", "http://[::1"], '--source: "***" is no address of a camera'),
        (["--source", "rtsp://h:99999999/"], '--source: "rtsp://h:99999999/" is no address of a camera'),
        (["--source", "realsense:"], '--source: "" is neither a serial number nor a recording'),
        (["--source", "realsense", "--fps", "29.97"], "--fps: must be a whole number, not 29.97"),
        (["--set", "cameras.a={source='usb:0', weight='x'}"], "--set cameras.a: weight: must be a number, not"),
        (["--runtime-dir", ""], "--runtime-dir: must not be empty"),
        (["--listen", ""], '--listen: "": must be HOST:PORT'),
        (["--set", "nonsense"], "--set nonsense: wants KEY=VALUE"),
        (["--set", "simulated.latency=4"], "--set simulated.latency: unknown key; did you mean latency_ms?"),
        (["--source", "usb:x"], '--source: "usb:x": wants a number, as in usb:0'),
        (["--source", "/nope.mp4"], '--source: "/nope.mp4": there is no such file or folder'),
        (["--source", "ftp://host/x"], '--source: "ftp://host/x" is no address of a camera'),
        (["--source", "a=usb:0", "--source", "a=usb:1"], '--source: two sources are called "a"'),
        (["--graph", "nope"], "--graph: none stands alone"),
        (["--backend", "myriad"], "--set myriad.runtime: "),
        (["--sticks", "2", "--backend", "myriad"], "--sticks: sticks of backend myriad are found, not counted"),
        (["--policy", "coolest"], '--policy: there is no policy "coolest"; known: ring, all'),
        (["--policy", "ring"], "--policy: ring takes turns between clusters; give --cluster-size K too"),
        (
            ["--cluster-size", "3"],
            "--cluster-size: 3 of 4 sticks: at most half may work while the others cool; use --cluster-size 2, or",
        ),
        (["--every-frame", "--source", "usb:0"], "--every-frame: cam0 (usb:0) is a live camera, whose frames do not wait"),
        (["--every-frame"], "--every-frame: cam0 (synthetic) is a live camera"),
        (["--loop", "--source", "usb:0"], "--loop: no source here has an end"),
        (["--results", "/nope/out.jsonl"], "--results: there is no folder /nope; make it first"),
        (["--results", "/tmp"], '--results: "/tmp" is a folder'),
        (["--listen", "0.0.0.0:80"], "--listen: 0.0.0.0:80 can be reached from other machines; give a --token-file"),
        (["--listen", "8080"], '--listen: "8080": must be HOST:PORT'),
        (["--listen", "127.0.0.1:99999"], '--listen: "127.0.0.1:99999": must be HOST:PORT'),
        (["--listen", "::1:80"], '--listen: "::1:80": an IPv6 address is written [ADDRESS]:PORT'),
        (["--token-file", "/nope"], "--token-file: /nope cannot be read: No such file or directory"),
        (["--runtime-dir", "/tmp/" + "x" * 100], "--runtime-dir: /tmp/xxxx"),
        (
            ["--backend", "openvino", "--graph", "demo", "--set", "simulated.time_scale=2"],
            "--set simulated.time_scale: only simulated",
        ),
    ],
)
def test_a_wrong_flag_is_told_with_its_remedy(argv: list[str], line: str) -> None:
    assert refusal(*argv).startswith(line)


def test_an_unknown_variable_is_told() -> None:
    assert refusal(NCS_CLUSTER_STICS="4") == "NCS_CLUSTER_STICS: unknown key; did you mean sticks?"


@given(text=st.text(max_size=200))
def test_whatever_the_file_holds_it_is_settings_or_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("config") / "c.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    said = ""
    try:
        simulated("--config", str(path))
    except ConfigError as error:
        said = str(error)
    assert "\n" not in said


# -- meaning


def test_without_anything_it_is_this_cpu_a_scene_and_a_page_on_localhost(tmp_path: Path) -> None:
    asked = load(["--graph", str(a_graph(tmp_path)), "--set", f"discovery.sysfs={tmp_path}"], {})
    assert [(stick.id, stick.backend) for stick in asked.sticks] == [("cpu-1", "openvino")]
    assert [(camera.name, camera.source) for camera in asked.cameras] == [("cam0", "synthetic")]
    assert asked.gateway is not None
    assert (asked.gateway.host, asked.gateway.port, asked.gateway.token) == ("127.0.0.1", 8080, None)
    assert asked.pools[0].clusters.policy == "all"
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
    assert (page.host, page.port, page.token) == ("0.0.0.0", 0, "a-good-long-token-1")
    token.chmod(0o644)
    assert "can be read by everybody; chmod o-rwx" in refusal("--token-file", str(token))
    token.write_text("short")
    token.chmod(0o600)
    assert "16 characters or more" in refusal("--token-file", str(token))


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


ODD = [
    "-1",
    "0",
    "1e308",
    "nan",
    "true",
    '""',
    '"x"',
    "[]",
    '["x"]',
    "{}",
    "{ x = 1 }",
    "1979-05-27",
    '"\\u0000"',
    '"\\ud7ff/../.."',
    "[[]]",
]


@pytest.mark.parametrize("value", ODD)
def test_an_odd_value_of_any_key_is_settings_or_one_line(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ncs_cluster.config.model import BACKEND_TABLES, Camera, Graph, Keys, Runtime

    monkeypatch.chdir(tmp_path)
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
        ("policy = 'rnig'", 'ncs.toml: policy: there is no policy "rnig"; known: ring, all'),
        ("[policy]\nname = 'rnig'", 'ncs.toml: policy: there is no policy "rnig"; known: ring, all'),
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
    assert refusal("--set", "sinks.mqtt.qos=1") == '--set sinks.mqtt.qos: there is no sink "mqtt"; known: jsonl'
    assert refusal("--results", "-", "--set", "sinks.jsonl.size=1").startswith(
        "--set sinks.jsonl.size: unknown key; known here: path"
    )

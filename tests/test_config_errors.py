"""Errors of settings: one line each that names the file, variable or flag, the key and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.errors import ConfigError
from tests.oneconfig import Write, refusal, simulated


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return Write(tmp_path / "ncs.toml")


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
        (b"a = " + b"[" * 100_000, "is not TOML: values are nested too deeply"),
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
        (
            ["-csc", "10000"],
            "-csc: is a flag of MultiStickSSDwithRealSense.py; here it is --switch-interval S, in seconds (docs/fl",
        ),
        (["-ht", "240"], "-ht: is a flag of MultiStickSSDwithRealSense.py; here it is --size WxH (docs/flags.md has them all)"),
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
        (["--policy", "warmest"], '--policy: there is no policy "warmest"; known: ring, all, coolest, predictive'),
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
        (["--api", "triton"], "--api: must be one of 'deepstack', 'oip', not \"triton\""),
        (["--listen", "0.0.0.0:80"], "--listen: 0.0.0.0:80 can be reached from other machines; give a --token-file"),
        (["--listen", "8080"], '--listen: "8080": must be HOST:PORT'),
        (["--listen", "127.0.0.1:99999"], '--listen: "127.0.0.1:99999": must be HOST:PORT'),
        (["--listen", "::1:80"], '--listen: "::1:80": an IPv6 address is written [ADDRESS]:PORT'),
        (["--api", "deepstack", "--no-web"], "--api: the process of the page answers it; leave out --no-web"),
        (["--api", "deepstack"], "--api: there is no graph to answer with; give a --graph"),
        (["--api", "deepstack,triton"], "--api"),
        (["--api-listen", "127.0.0.1:32168"], "--api-listen: no API is served; give --api too"),
        (["--api-weight", "2"], "--api-weight: no API is served; give --api too"),
        (["--api", "oip", "--api-weight", "0"], "--api-weight"),
        (["--api", "oip", "--api-listen", "32168"], '--api-listen: "32168": must be HOST:PORT'),
        (
            ["--api", "oip", "--api-listen", "0.0.0.0:1"],
            "--api-listen: 0.0.0.0:1 can be reached from other machines; give a --token",
        ),
        (["--api", "oip", "--api-client", "10.0.0.1"], "--api-client: it needs no token at --api-listen and --api-grpc, which are"),
        (["--api-grpc", "8001"], '--api-grpc: "8001": must be HOST:PORT'),
        (["--api-grpc", "0.0.0.0:1"], "--api-grpc: 0.0.0.0:1 can be reached from other machines; give a --token"),
        (["--api-grpc", "127.0.0.1:1", "--no-web"], "--api-grpc: the process of the page answers it; leave out --no-web"),
        (["--api", "oip", "--api-client", "pi.local"], '--api-client: "pi.local" is no address; write one as 192'),
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
    assert (
        refusal(NCS_CLUSTER_FOO="4") == "NCS_CLUSTER_FOO: unknown key; ncs-clusterd --help and docs/configuration.md list all keys"
    )


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

"""`ncsctl graphs`: what it says of graphs and blobs, and what it makes."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ncs_cluster.xlink.blob import HEADER
from tests.cli import within
from tests.needs import need_compiler
from tests.python39 import Runtime

DEMO = Path(__file__).resolve().parents[2] / "graphs" / "demo"
BLOB = DEMO / "demo.blob"


def ncsctl(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return within.ncsctl("graphs", *argv)


def folder(home: Path, name: str = "mine", blob: bool = True) -> Path:
    """A graph of one's own: the demo's under another name."""
    made = home / name
    made.mkdir(parents=True)
    for file in ("graph.toml", "labels.txt", "demo.xml", "demo.bin", *(["demo.blob", "demo.blob.json"] if blob else [])):
        shutil.copy(DEMO / file, made)
    return made


def test_the_list_tells_shipped_pulled_and_configured_graphs_and_whether_sticks_can_run_them(tmp_path: Path) -> None:
    folder(tmp_path / "graphs", "pulled", blob=False)
    broken = folder(tmp_path, "broken")
    (broken / "graph.toml").write_text("model = 1\n")
    config = tmp_path / "ncs.toml"
    config.write_text(f'state_dir = "."\n[graphs.bad]\npath = "broken"\n[graphs.own]\npath = "{folder(tmp_path, "own")}"\n')
    done = ncsctl("list", "--config", config)
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head == ["GRAPH", "FROM", "DECODER", "INPUT", "LABELS", "SIZE", "BLOB"]
    about = ["ssd", "320x256", "ball,", "cube,", "cone,", "…", "6", "0.7", "MB"]
    assert ["demo", "shipped", *about, "beside", "the", "model"] in rows
    assert ["pulled", "pulled", *about, "none"] in rows
    assert ["own", "settings", *about, "beside", "the", "model"] in rows
    assert any(row[:2] == ["bad", "settings"] and "graph.toml:" in row[2] for row in rows)


def test_the_demo_graph_is_ready_for_sticks(tmp_path: Path) -> None:
    done = ncsctl("check", "demo", "--state-dir", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "graph   demo, decoder ssd, 6 labels, threshold 0.6\n"
        f"model   {DEMO}/demo.xml\n"
        "pixels  BGR, stretch, (x - 0) / 1\n"
        f"blob    {BLOB}, 1.6 MB, version 6.0\n"
        "input   image  u8 NCHW 1x3x256x320\n"
        "output  detections  fp32 NCHW 1x1x50x7\n"
        "needs   7 shaves, 9 slices, 122 stages; 2 inferences at once\n"
    )


def test_a_blob_by_itself_is_told(tmp_path: Path) -> None:
    done = ncsctl("check", BLOB)
    assert (done.returncode, done.stdout.splitlines()[1]) == (0, "input   image  u8 NCHW 1x3x256x320")


def patched(at: int, value: int) -> bytes:
    """The demo's blob with one word of its header changed."""
    data = bytearray(BLOB.read_bytes())
    struct.pack_into("<I", data, 52 + 4 * at, value)
    assert len(data) > HEADER.size
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "0 bytes are too few"),
        (BLOB.read_bytes()[:-100], "it was cut off or damaged"),
        (patched(0, 1), "not a blob for a Myriad X"),
        (patched(2, 5), "it is a blob of version 5.0, the stick's firmware takes 6.0"),
        (patched(12, 17), "it wants 17 shaves and 9 slices, a Myriad X has 16 and 19"),
    ],
)
def test_a_blob_no_stick_can_take_is_refused_with_the_reason(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "a.blob"
    path.write_bytes(content)
    done = ncsctl("check", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"ncsctl: {path}: ")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_graph_without_a_blob_is_right_for_a_cpu_and_for_a_stick_it_is_told_how_to_get_one(tmp_path: Path) -> None:
    mine = folder(tmp_path, blob=False)
    done = ncsctl("check", mine, "--state-dir", tmp_path, "--backend", "openvino")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[3:] == [
        "runs    on this CPU",
        f"sticks  it has no blob; make one with: ncsctl graphs compile {mine}",
    ]
    config = tmp_path / "ncs.toml"
    config.write_text('backend = "xlink"\n')
    pools = tmp_path / "pools.toml"
    pools.write_text('[pools.cpu]\nbackend = "openvino"\n[pools.usb]\nbackend = "xlink"\n')
    for named in (["--backend", "xlink"], ["--config", config], ["--config", pools]):
        done = ncsctl("check", mine, "--state-dir", tmp_path, *named)
        assert done.returncode == 1
        told = f"ncsctl: {mine}: it has no blob, so no stick can run it; make one with: ncsctl graphs compile {mine}\n"
        assert done.stderr == told
    assert "must be one of auto, simulated," in ncsctl("check", mine, "--backend", "cpu").stderr


def plugged(tmp_path: Path) -> Path:
    """The settings of a machine with a stick."""
    device = tmp_path / "sys/bus/usb/devices/1-1.2"
    device.mkdir(parents=True)
    (device / "idVendor").write_text("03e7\n")
    (device / "idProduct").write_text("2485\n")
    config = tmp_path / "plugged.toml"
    config.write_text('[discovery]\nsysfs = "sys"\n')
    return config


def test_where_a_stick_is_plugged_in_a_graph_is_judged_for_it(tmp_path: Path) -> None:
    mine = folder(tmp_path, blob=False)
    assert ncsctl("check", mine, "--config", plugged(tmp_path)).returncode == 1
    assert ncsctl("check", mine, "--config", plugged(tmp_path / "other"), "--backend", "openvino").returncode == 0


def renumbered(mine: Path, version: int) -> None:
    model = mine / "demo.xml"
    model.write_bytes(model.read_bytes().replace(b'version="10"', f'version="{version}"'.encode(), 1))


def two_inputs(mine: Path) -> None:
    import openvino
    from openvino import opset1 as op

    sources = [op.parameter([1, 3, 4, 5], np.float32, name=name) for name in ("left", "right")]
    openvino.save_model(openvino.Model([op.add(*sources)], sources, "m"), mine / "demo.xml")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda mine: renumbered(mine, 3), "IR version 3 is too old, 10 is the oldest that loads"),
        (lambda mine: renumbered(mine, 6), "IR version 6 is too old, 10 is the oldest that loads"),
        (two_inputs, "it has 2 inputs (left, right): a graph has exactly one, a picture"),
        (lambda mine: (mine / "demo.bin").unlink(), "its weights demo.bin are missing beside it"),
    ],
    ids=["IR 3", "IR 6", "two inputs", "no weights"],
)
def test_what_is_wrong_with_a_model_is_told_before_its_blob_is_missed(
    tmp_path: Path, change: Callable[[Path], None], told: str
) -> None:
    mine = folder(tmp_path, blob=False)
    change(mine)
    for backend in ("openvino", "xlink"):
        done = ncsctl("check", mine, "--state-dir", tmp_path, "--backend", backend)
        assert done.returncode == 1
        assert done.stderr.startswith(f"ncsctl: graph mine: {mine}/demo.xml: ")
        assert told in done.stderr
        assert done.stderr.count("\n") == 1


def test_an_ir_11_that_cannot_be_compiled_is_right_for_a_cpu_and_the_operation_is_named(tmp_path: Path) -> None:
    import openvino
    from openvino import opset11 as op

    mine = folder(tmp_path, blob=False)
    source = op.parameter([1, 3, 8, 8], np.float32, name="pixels")
    resized = op.interpolate(
        source, op.constant(np.array([4, 4], np.int32)), "bilinear_pillow", "sizes", axes=op.constant(np.array([2, 3], np.int32))
    )
    rows = op.reshape(resized, op.constant(np.array([1, 1, 6, 8])), special_zero=False)
    seven = op.strided_slice(rows, *(op.constant(np.array(each)) for each in ([0] * 4, [1, 1, 6, 7], [1] * 4)), [0] * 4, [0] * 4)
    openvino.save_model(openvino.Model([seven], [source], "m"), mine / "demo.xml")
    done = ncsctl("check", mine, "--state-dir", tmp_path, "--backend", "openvino")
    assert (done.returncode, done.stderr) == (0, "")
    assert "none can be made" in done.stdout
    assert "Interpolate of opset11" in done.stdout


def test_a_blob_of_another_model_is_not_taken(tmp_path: Path) -> None:
    mine = folder(tmp_path)
    (mine / "demo.xml").write_bytes((mine / "demo.xml").read_bytes() + b"\n")
    done = ncsctl("check", mine, "--state-dir", tmp_path, "--backend", "xlink")
    assert done.returncode == 1
    assert "the blob beside its model is of another model" in done.stderr


def test_a_folder_with_nothing_but_a_blob_made_elsewhere_is_a_graph(tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    shutil.copy(BLOB, public / "public.blob")
    (public / "graph.toml").write_text('model = "public.blob"\ndecoder = "ssd"\n')
    done = ncsctl("check", public)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"blob    {public}/public.blob" in done.stdout


@pytest.mark.parametrize("command", ["check", "compile"])
def test_a_name_nobody_knows_is_one_line(tmp_path: Path, command: str) -> None:
    done = ncsctl(command, "nothing", "--state-dir", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'ncsctl: "nothing": there is no such folder, and no graph of this name (demo)\n'


def test_a_model_of_intels_that_was_not_pulled_yet_is_told_how_to_get(tmp_path: Path) -> None:
    done = ncsctl("check", "face-detection-retail-0004", "--state-dir", tmp_path)
    assert done.stderr.endswith("(demo); fetch it with: ncsctl graphs pull face-detection-retail-0004\n")


def test_a_file_that_is_there_is_not_said_to_be_missing(tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(b"TFL3")
    assert "the compiler reads IR version 10" in ncsctl("compile", model, "--state-dir", tmp_path).stderr
    assert "is a file; a graph is a folder" in ncsctl("check", model, "--state-dir", tmp_path).stderr


def test_a_graph_is_compiled_by_the_runtime_of_the_settings_for_the_daemon_to_find(oracle_python: Runtime, tmp_path: Path) -> None:
    need_compiler()
    mine, config = folder(tmp_path, blob=False), tmp_path / "ncs.toml"
    config.write_text(f'state-dir = "state"\n[runtimes.old]\npython = "{oracle_python.python}"\n[graphs.g]\npath = "mine"\n')
    done = ncsctl("compile", "g", "--runtime", "old", "--config", config)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "compiling demo.xml: takes seconds, for large models minutes\n"
    (made,) = (tmp_path / "state" / "blobs").glob("*.blob")
    assert made.read_bytes() == BLOB.read_bytes()
    assert f"blob    {made}, 1.6 MB" in done.stdout
    assert ncsctl("check", mine, "--config", config).returncode == 0
    again = ncsctl("compile", "g", "--config", config)
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, ""), "needs no compiler any more"
    done = ncsctl("compile", "g", "--beside", "--runtime", "old", "--config", config)
    assert (mine / "demo.blob").read_bytes() == BLOB.read_bytes()
    assert (mine / "demo.blob.json").read_bytes() == (DEMO / "demo.blob.json").read_bytes(), "what is told names no folder"


def test_a_runtime_nobody_described_is_one_line(tmp_path: Path) -> None:
    done = ncsctl("compile", folder(tmp_path, blob=False), "--runtime", "old", "--state-dir", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ncsctl: --runtime old: there is no [runtimes.old] with a python; name the settings with --config FILE\n"
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--scale", "0,1,1"), "nothing can be divided by 0"),
        (("--scale", "nan,1,1"), "each must be a finite number"),
        (("--mean", "1,inf,1"), "each must be a finite number"),
        (("--mean", "1,2"), "is not three numbers"),
    ],
)
def test_arithmetic_that_makes_no_pixels_is_refused(tmp_path: Path, argv: tuple[str, str], said: str) -> None:
    done = ncsctl("compile", tmp_path / "m.onnx", *argv)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_name_from_the_settings_cannot_paint_the_terminal(tmp_path: Path) -> None:
    config = tmp_path / "ncs.toml"
    config.write_text('[graphs."red\\u001b[31m"]\npath = "here"\n')
    done = ncsctl("list", "--config", config, "--state-dir", tmp_path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


def test_the_password_of_a_mirror_is_told_nobody(tmp_path: Path) -> None:
    done = ncsctl("pull", "face-detection-retail-0004", "--mirror", "http://me:geheim@127.0.0.1:1/zoo", "--state-dir", tmp_path)
    assert done.returncode == 1
    assert "http://127.0.0.1:1/zoo" in done.stderr
    assert "geheim" not in done.stderr


def test_a_pull_that_fails_is_one_line_and_leaves_no_graph(tmp_path: Path) -> None:
    done = ncsctl("pull", "face-detection-retail-0004", "--mirror", "http://127.0.0.1:1/zoo", "--state-dir", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == (
        "face-detection-retail-0004 is under Apache-2.0, https://raw.githubusercontent.com/openvinotoolkit/open_model_zoo/2021.4.2/LICENSE"
    )
    assert done.stderr.splitlines()[-1] == (
        "ncsctl: face-detection-retail-0004.xml: http://127.0.0.1:1/zoo/face-detection-retail-0004/FP16/face-detection-retail-0004.xml:"
        " Connection refused"
    )
    assert "face-detection" not in ncsctl("list", "--state-dir", tmp_path).stdout
    assert "no model" in ncsctl("pull", "nothing", "--state-dir", tmp_path).stderr


def test_what_asks_a_running_daemon_loads_nothing_of_this() -> None:
    """`ncsctl status` stays as light as it was."""
    heavy = (
        "ncs_cluster.provision",
        "ncs_cluster.config",
        "ncs_cluster.xlink",
        "pydantic",
        "urllib.request",
        "numpy",
        "cv2",
        "openvino",
    )
    code = (
        f"import sys, ncs_cluster.cli.parser as it; it.make(); print([name for name in sys.modules if name.startswith({heavy!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"

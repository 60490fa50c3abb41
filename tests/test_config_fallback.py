"""Settings of the fallback, and what is refused."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import ClusterSpec, FallbackSpec, PoolSpec, Settings, StickSpec
from ncs_cluster.types import StickId
from ncs_cluster.xlink import firmware

SIMULATED = ("--backend", "simulated")
FIRMWARE = artificial_firmware(1000)


def cpu(id: str = "cpu-1", *, standby: bool = True, runtime: str = "default", **options: object) -> FallbackSpec:
    stick = StickSpec(StickId(id), "CPU 1", "openvino", options or {"streams": 1}, runtime, pool="fallback", on_host=True)
    return FallbackSpec(PoolSpec(ClusterSpec(), [stick], name="fallback"), "the CPU", standby)


def of_file(folder: Path, text: str, *argv: str) -> Settings:
    (folder / "c.toml").write_text(text)
    return load(["--config", str(folder / "c.toml"), *argv], {})


def refusal(*argv: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load([*argv], {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_there_is_no_fallback_unless_it_is_configured() -> None:
    assert load([*SIMULATED], {}).fallback is None


def test_the_flag_the_variable_and_the_file_mean_the_same(tmp_path: Path) -> None:
    assert load([*SIMULATED, "--fallback", "openvino"], {}).fallback == cpu()
    assert load([*SIMULATED], {"NCS_CLUSTER_FALLBACK": "openvino"}).fallback == cpu()
    assert of_file(tmp_path, "backend = 'simulated'\nfallback = 'openvino'\n").fallback == cpu()
    assert of_file(tmp_path, "backend = 'simulated'\n[fallback]\nbackend = 'openvino'\n").fallback == cpu()


def test_the_other_pools_are_as_without_it() -> None:
    without, with_it = load([*SIMULATED], {}), load([*SIMULATED, "--fallback", "openvino"], {})
    assert (with_it.pools, with_it.sticks, with_it.simulated) == (without.pools, without.sticks, True)
    assert with_it.all_pools == [*without.pools, cpu().pool]
    assert with_it.drivers == {("simulated", "default"), ("openvino", "default")}


def test_its_options_go_before_those_of_the_backend_and_one_stream_behind_both(tmp_path: Path) -> None:
    text = "backend = 'simulated'\n[openvino]\nthreads = 4\nstreams = 3\n[fallback]\nbackend = 'openvino'\nstandby = false\n"
    assert of_file(tmp_path, text).fallback == cpu(standby=False, threads=4, streams=3)
    own = text + "options = {threads = 1, precision = 'bf16'}\n"
    assert of_file(tmp_path, own).fallback == cpu(standby=False, threads=1, streams=3, precision="bf16")


def test_it_may_run_under_another_interpreter(tmp_path: Path) -> None:
    text = "backend = 'simulated'\n[fallback]\nbackend = 'openvino'\nruntime = 'other'\n"
    text += f"[runtimes.other]\npython = '{sys.executable}'\n"
    assert of_file(tmp_path, text).fallback == cpu(runtime="other")


def test_its_worker_has_a_name_that_no_other_stick_has(tmp_path: Path) -> None:
    text = "fallback = 'openvino'\n[pools.cpu]\nbackend = 'simulated'\nsticks = 1\n"
    asked = of_file(tmp_path, text)
    assert ([stick.id for stick in asked.sticks], asked.fallback) == (["cpu-1"], cpu("fallback-1"))


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (
            ["--backend", "openvino"],
            "--fallback: --backend openvino works with this machine all the time; leave out one of the two",
        ),
        (
            [*SIMULATED, "--fallback", "simulated"],
            "--fallback: simulated is simulated; a fallback computes with this machine: openvino",
        ),
        (
            [*SIMULATED, "--fallback", "xlink"],
            "--fallback: xlink may have no stick; a fallback computes with this machine: openvino",
        ),
        ([*SIMULATED, "--fallback", "cpu"], '--fallback: must be one of openvino, not "cpu"'),
        ([*SIMULATED, "--graph", "none"], "--graph: backend openvino cannot work without a graph; name a graph"),
        ([*SIMULATED, "--set", "fallback.options.thread=1"], "--set fallback.options.thread: unknown key; did you mean threads?"),
        ([*SIMULATED, "--set", "fallback.options.threads=-1"], "--set fallback.options.threads: threads must be 0 to 1024"),
        ([*SIMULATED, "--set", "openvino.threads=-1"], "--set openvino.threads: threads must be 0 to 1024"),
        ([*SIMULATED, "--set", "fallback.runtime=x"], "--set fallback.runtime: there is no [runtimes.x]; known: default"),
    ],
)
def test_wrong_settings_of_the_fallback_are_refused_in_one_line(argv: list[str], line: str) -> None:
    assert refusal(*([] if "--fallback" in argv else ["--fallback", "openvino"]), *argv) == line


def test_its_table_needs_a_backend() -> None:
    line = "--set fallback.standby: backend is missing; give backend = 'openvino', or --fallback openvino"
    assert refusal(*SIMULATED, "--set", "fallback.standby=true") == line


def test_a_pool_may_not_have_its_name(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r'pools\.fallback: "fallback" is the name of the pool of --fallback; give this pool another'
    ):
        of_file(tmp_path, "fallback = 'openvino'\n[pools.fallback]\nbackend = 'simulated'\n")


def test_beside_a_pool_of_this_cpu_it_is_refused(tmp_path: Path) -> None:
    text = "fallback = 'openvino'\n[pools.a]\nbackend = 'simulated'\n[pools.b]\nbackend = 'openvino'\n"
    with pytest.raises(
        ConfigError, match=r"fallback\.backend: pool b works with this machine all the time; leave out one of the two"
    ):
        of_file(tmp_path, text)


# -- --backend auto


def automatic(folder: Path, *argv: str) -> Settings:
    """On a machine without a stick."""
    (folder / "sys").mkdir(exist_ok=True)
    graph = folder / "shapes"
    graph.mkdir(exist_ok=True)
    (graph / "graph.toml").write_text('model = "m.xml"\ndecoder = "ssd"\n')
    (graph / "m.xml").write_text("<net/>")
    (graph / "m.blob").write_bytes(b"what is in it is looked at later")
    flags = ["--state-dir", str(folder / "state"), "--set", f"discovery.sysfs={folder}/sys", "--graph", str(graph)]
    return load([*flags, *argv], {})


def test_with_it_auto_waits_for_sticks_though_none_is_plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "SIZE", len(FIRMWARE))
    monkeypatch.setattr(firmware, "SHA256", hashlib.sha256(FIRMWARE).hexdigest())
    (tmp_path / "state/firmware").mkdir(parents=True)
    (tmp_path / "state/firmware/usb-ma2x8x.mvcmd").write_bytes(FIRMWARE)
    without = automatic(tmp_path)
    assert [stick.backend for stick in without.sticks] == ["openvino"]
    asked = automatic(tmp_path, "--fallback", "openvino")
    assert [found.backend for found in asked.discoveries] == ["xlink"]
    assert asked.fallback == cpu()
    assert "no neural compute stick is plugged in yet: waiting for one" in asked.notices


def test_where_no_stick_could_be_driven_auto_says_why_and_works_on_this_cpu(tmp_path: Path) -> None:
    asked = automatic(tmp_path, "--fallback", "openvino")
    assert ([stick.backend for stick in asked.sticks], asked.fallback) == (["openvino"], None)
    missing = tmp_path / "state/firmware/usb-ma2x8x.mvcmd"
    get = f"ncsctl firmware install --state-dir {tmp_path / 'state'}"
    assert asked.notices[0] == f"backend xlink cannot wait for a stick: there is no firmware {missing}; get it with: {get}"
    assert asked.notices[-1] == "--fallback has nothing to do: this CPU works all the time"

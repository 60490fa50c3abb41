"""Settings of several kinds of sticks in one daemon."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import ClusterSpec, DiscoverySpec, PoolSpec, Settings, StickSpec
from ncs_cluster.types import StickId
from ncs_cluster.xlink import firmware

FIRMWARE = artificial_firmware(1000)


class Machine:
    """Made up: no stick plugged in, firmware installed, a graph with its blob; and a file with the settings."""

    def __init__(self, root: Path) -> None:
        self.root, self.sysfs, self.state, self.graph = root, root / "sys", root / "state", root / "shapes"
        (self.state / "firmware").mkdir(parents=True)
        (self.state / "firmware/usb-ma2x8x.mvcmd").write_bytes(FIRMWARE)
        self.sysfs.mkdir()
        self.graph.mkdir()
        (self.graph / "graph.toml").write_text('model = "m.xml"\ndecoder = "ssd"\n')
        (self.graph / "m.xml").write_text("<net/>")
        (self.graph / "m.blob").write_bytes(b"what is in it is looked at later")

    def load(self, text: str, *argv: str, **environ: str) -> Settings:
        (self.root / "c.toml").write_text(f"graph = '{self.graph}'\nstate-dir = '{self.state}'\n{text}")
        return load(["--config", str(self.root / "c.toml"), "--set", f"discovery.sysfs={self.sysfs}", *argv], environ)

    def refusal(self, text: str, *argv: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(text, *argv)
        assert "\n" not in str(caught.value)
        return str(caught.value).removeprefix(f"{self.root}/")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(firmware, "SIZE", len(FIRMWARE))
    monkeypatch.setattr(firmware, "SHA256", hashlib.sha256(FIRMWARE).hexdigest())
    return Machine(tmp_path)


def test_two_kinds_of_sticks_have_each_their_own_turns(machine: Machine) -> None:
    asked = machine.load(
        "switch-temp = 70\n[xlink]\nexecutors = 1\n"
        "[pools.ncs]\nbackend = 'xlink'\ncluster-size = 2\nswitch-interval = 5\n"
        "[pools.ncs.policy]\nname = 'ring'\ndwell_s = 3\n[pools.ncs.options]\nexecutors = 2\n"
        "[pools.cpu]\nbackend = 'openvino'\nsticks = 1\noptions.threads = 2\n"
    )
    ring = ClusterSpec(2, "ring", 5.0, 70.0, policy_options={"dwell_s": 3.0})
    boots = str(machine.state / "firmware/usb-ma2x8x.mvcmd")
    found = DiscoverySpec("xlink", {"executors": 2, "firmware": boots}, pool="ncs", sysfs=str(machine.sysfs))
    worker = StickSpec(StickId("cpu-1"), "CPU 1", "openvino", {"threads": 2}, pool="cpu", on_host=True)
    assert asked.pools == [
        PoolSpec(ring, [], found, "ncs"),
        PoolSpec(ClusterSpec(0, "predictive", 10.0, 70.0), [worker], None, "cpu"),
    ]
    (graph,) = asked.graphs
    assert (graph.model, graph.blob) == (str(machine.graph / "m.xml"), str(machine.graph / "m.blob")), "each pool finds its own"


def test_without_a_table_the_general_keys_make_the_one_pool(machine: Machine) -> None:
    (pool,) = machine.load("backend = 'simulated'\nsticks = 4\ncluster-size = 2\n").pools
    assert (pool.name, pool.clusters.policy) == ("simulated", "ring")
    assert [(stick.id, stick.pool) for stick in pool.sticks] == [(f"sim-{n}", "simulated") for n in (1, 2, 3, 4)]


def test_a_pool_takes_the_general_keys_it_leaves_out(machine: Machine) -> None:
    text = "backend = 'simulated'\nsticks = 6\ncluster-size = 2\nswitch-interval = 7\n[policy]\nname = 'ring'\ndwell_s = 1\n"
    first, second = machine.load(text + "[pools.a]\n[pools.b]\nsticks = 8\ncluster-size = 0\npolicy = 'all'\n").pools
    assert first.clusters == ClusterSpec(2, "ring", 7.0, policy_options={"dwell_s": 1.0})
    assert second.clusters == ClusterSpec(0, "all", 7.0)
    assert [stick.id for stick in first.sticks] == [f"a-{n}" for n in range(1, 7)]
    assert [stick.id for stick in second.sticks] == [f"b-{n}" for n in range(1, 9)]


def test_pools_can_be_given_by_set_and_by_environment(machine: Machine) -> None:
    flags = ["--set", "pools.a.backend=simulated", "--set", "pools.a.cluster-size=1", "--set", "pools.a.policy.dwell_s=4"]
    (pool,) = machine.load("", *flags, NCS_CLUSTER_POOLS__A__STICKS="3").pools
    assert (pool.name, len(pool.sticks), pool.clusters.cluster_size) == ("a", 3, 1)
    assert pool.clusters.policy_options == {"dwell_s": 4.0}


def test_a_backend_given_by_flag_makes_one_pool_instead_of_the_files(machine: Machine) -> None:
    (pool,) = machine.load("[pools.ncs]\nbackend = 'xlink'\n[pools.cpu]\nbackend = 'openvino'\n", "--backend", "simulated").pools
    assert (pool.name, len(pool.sticks)) == ("simulated", 4)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[pools.a]\nbackend = 'xlink'\n[pools.b]\nbackend = 'xlink'\n",
            "c.toml: pools.b.backend: pools a and b would both take each neural compute stick; keep one",
        ),
        ("[pools.a]\nbackend = 'xlnik'\n", "c.toml: pools.a.backend: must be one of auto, simulated, openvino, xlink, myriad, not"),
        ("[pools.a]\nbackend = 'simulated'\nstick = 2\n", "c.toml: pools.a.stick: unknown key; did you mean sticks?"),
        ("[pools.a]\nbackend = 'xlink'\nsticks = 2\n", "c.toml: pools.a.sticks: sticks of backend xlink are found, not counted"),
        (
            "[pools.a]\nbackend = 'simulated'\noptions.latency = 2\n",
            "c.toml: pools.a.options.latency: unknown key; did you mean latency_ms?",
        ),
        (
            "[pools.a]\nbackend = 'simulated'\noptions.depth = 0\n",
            "c.toml: pools.a.options.depth: depth must be 1 to 64",
        ),
        (
            "[pools.a]\nbackend = 'simulated'\noptions.faults = ['sneeze@5']\n",
            'c.toml: pools.a.options.faults: faults: fault "sneeze@5": kind',
        ),
        ("[pools.a]\nbackend = 'simulated'\nruntime = 'old'\n", "c.toml: pools.a.runtime: there is no [runtimes.old]"),
        (
            "[pools.a]\nbackend = 'simulated'\ncluster-size = 3\n",
            "c.toml: pools.a.cluster_size: 3 of 4 sticks: at most half may work while the others cool",
        ),
        (
            "cluster-size = 2\n[pools.a]\nbackend = 'openvino'\n",
            "c.toml: cluster_size: 2 of 1 stick: at most half may work while the others cool",
        ),
        ("[pools.a]\nbackend = 'simulated'\npolicy = 'rnig'\n", 'c.toml: pools.a.policy: there is no policy "rnig"'),
        (
            "[pools.a]\nbackend = 'simulated'\n[pools.a.policy]\nname = 'all'\ndwell_s = 1\n",
            "c.toml: pools.a.policy.dwell_s: unknown key; known here: name",
        ),
        ("[pools.'A b']\nbackend = 'simulated'\n", 'c.toml: pools.A b: pool name "A b": a name is made of a-z'),
        ("[simulated]\ntime_scale = 2\n[pools.a]\nbackend = 'xlink'\n", "c.toml: simulated.time_scale: only simulated sticks can"),
    ],
)
def test_a_pool_that_makes_no_sense_is_told_with_its_key(machine: Machine, text: str, line: str) -> None:
    assert machine.refusal(text).startswith(line)


def test_a_graph_is_needed_where_one_pool_needs_it(machine: Machine) -> None:
    line = machine.refusal("[pools.a]\nbackend = 'simulated'\n[pools.b]\nbackend = 'openvino'\n", "--graph", "none")
    assert line == "--graph: backend openvino cannot work without a graph; name a graph"

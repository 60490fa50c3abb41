"""Plugins of other packages whose code fails: each costs one line that names it, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.errors import ConfigError

MODULE = """\
from dataclasses import dataclass
from ncs_cluster.backends.base import BackendPlugin, Counted
from ncs_cluster.policies.base import PolicyPlugin
from ncs_cluster.sinks.base import SinkPlugin

@dataclass(frozen=True)
class Options:
    limit: int = 1

    def __post_init__(self):
        {{}}[self.limit]

class NoDataclass: pass

@dataclass(frozen=True)
class NoType:
    limit: "Nowhere" = 1

@dataclass(frozen=True)
class Nothing: pass

def fail(*arguments):
    raise KeyError("a defect")

def backend(options="Nothing", port="here", **hooks):
    counted = Counted(default=1, prefix="x", port=port)
    return BackendPlugin(name="{name}", title="", driver="{name}:fail", options="{name}:" + options, counted=counted, **hooks)

PLUGIN = {plugin}
"""


@pytest.mark.parametrize(
    ("kind", "plugin", "line"),
    [
        ("backends", "backend('NoDataclass')", "{name}:NoDataclass cannot be used as Options: TypeError: "),
        ("backends", "backend('NoType')", "{name}:NoType cannot be used as Options: NameError: "),
        ("backends", "backend('Options')", "--backend: KeyError: 1"),
        ("backends", "backend(port='{{nowhere}}')", "--backend: backend {name} cannot say where its sticks are: KeyError: "),
        ("backends", "backend(divide='{name}:fail')", "{name}:fail fails: KeyError: 'a defect'; repair or uninstall"),
        ("backends", "backend(configure='{name}:fail')", "{name}:fail fails: KeyError: 'a defect'; repair or uninstall"),
        (
            "policies",
            "PolicyPlugin(name='{name}', title='', create='{name}:fail', options='{name}:Nothing')",
            "--policy: policy {name} cannot be made: KeyError: 'a defect'; repair or uninstall that package",
        ),
        (
            "sinks",
            "SinkPlugin(name='{name}', form='', driver='{name}:fail', options='{name}:Nothing', parse='{name}:fail')",
            "--results: {name}:fail fails: KeyError: 'a defect'; repair or uninstall that package",
        ),
    ],
)
def test_a_plugin_whose_code_fails_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, plugin: str, line: str, request: pytest.FixtureRequest
) -> None:
    name = f"failing{abs(hash(request.node.name))}"
    about = tmp_path / f"{name}-1.0.dist-info"
    about.mkdir()
    (tmp_path / f"{name}.py").write_text(MODULE.format(name=name, plugin=plugin.format(name=name)))
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[ncs_cluster.{kind}]\n{name} = {name}:PLUGIN\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    flags = {
        "backends": ["--backend", name],
        "policies": ["--backend", "simulated", "--policy", name],
        "sinks": ["--backend", "simulated", "--results", f"{name}:{tmp_path}/x"],
    }
    argv = [*flags[kind], "--graph", "none", "--state-dir", str(tmp_path), "--no-web"]
    with pytest.raises(ConfigError) as caught:
        load(argv, {})
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(line.format(name=name))

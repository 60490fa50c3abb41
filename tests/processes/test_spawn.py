"""What a child's process is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import ncs_cluster
from ncs_cluster.processes.spawn import environment
from ncs_cluster.specs import RuntimeSpec


def test_another_interpreter_finds_this_package_also_where_an_older_one_has_been(tmp_path: Path) -> None:
    """A runtime directory may outlive an installation."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "ncs_cluster").symlink_to(tmp_path / "gone")
    env = environment(RuntimeSpec("/usr/bin/another", {"FLAG": "1"}), tmp_path)
    assert env["FLAG"] == "1"
    assert Path(env["PYTHONPATH"], "ncs_cluster").resolve() == Path(ncs_cluster.__file__).parent


def test_settings_in_the_environment_do_not_reach_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are secrets, and a child has all it needs from its channel."""
    monkeypatch.setenv("NCS_CLUSTER_TOKEN_FILE", "/somewhere")
    env = environment(RuntimeSpec(sys.executable), tmp_path)
    assert not [name for name in env if name.startswith("NCS_CLUSTER_")]

"""Files that people write, and text that is TOML: what would wait or take long is refused at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ncs_cluster.config import graph_folder, load, text_file
from ncs_cluster.errors import ConfigError
from tests.oneconfig import refusal

DEEP = "a" + ".a" * 50_000
MINIMAL = 'model = "m.xml"\ndecoder = "ssd"\n'


@pytest.mark.parametrize("text", [f"{DEEP} = 1", f"[{DEEP}]", f"x = {{ {DEEP} = 1 }}", "x = 1\n" + "'a' . " * 2000 + "a = 1"])
def test_a_key_of_many_parts_is_refused_without_reading_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^line [12]: a key has more than 16 parts; no setting has$"):
        text_file.parse(text)


def test_values_with_dots_are_no_such_key() -> None:
    text = "x = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]\n"
    text += f"y = 'rtsp://u:p@{'.'.join('abcdefgh')}/{'.'.join('abcdefgh')}'  # {'.' * 15}\n"
    assert len(text_file.parse(text)["x"]) == 18


def test_values_nested_without_end_are_refused() -> None:
    with pytest.raises(ValueError, match="values are nested too deeply"):
        text_file.parse("x = " + "[" * 5000)


@pytest.mark.parametrize("where", ["file", "set", "value", "environment"])
def test_every_way_to_a_setting_refuses_such_a_key_in_one_line(tmp_path: Path, where: str) -> None:
    if where == "file":
        (tmp_path / "c.toml").write_text(f"sticks = 4\n{DEEP} = 1\n")
        line = refusal("--config", str(tmp_path / "c.toml"))
        assert line == f"{tmp_path / 'c.toml'}: is not TOML: line 2: a key has more than 16 parts; no setting has"
    elif where == "set":
        assert re.match(r"--set a\.a\.a.*wants KEY=VALUE", refusal("--set", f"{DEEP}=1"))
    elif where == "value":
        assert "simulated" in refusal("--set", f"simulated={{{DEEP} = 1}}")
    else:
        with pytest.raises(ConfigError, match=r"NCS_CLUSTER_A__.*: a\.a\.a\.\.\.: a key has more than 16 parts"):
            load([], {"NCS_CLUSTER_" + "__".join("A" * 2000): "1"})


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Opening a FIFO to read waits until somebody writes."""
    graph = tmp_path / "graph"
    graph.mkdir()
    make(graph / "graph.toml")
    with pytest.raises(ConfigError, match=r"graph\.toml: (is not a file|cannot be read)"):
        graph_folder.read(graph, "g", None)
    other = tmp_path / "other"
    other.mkdir()
    make(other / "m.xml")
    with pytest.raises(ConfigError, match=r"m\.xml: (is not a file|cannot be read)"):
        graph_folder.read(other, "g", None)
    make(tmp_path / "token")
    assert re.search("token (is not a file|cannot be read)", refusal("--token-file", str(tmp_path / "token")))
    make(tmp_path / "c.toml")
    assert re.search(r"c\.toml: (is not a file; --config wants|cannot be read)", refusal("--config", str(tmp_path / "c.toml")))

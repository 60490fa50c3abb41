"""docs/architecture.md names files, functions, layers and plugin points as they are."""

from __future__ import annotations

import re
import tomllib

import pytest

from ncs_cluster import backends, decoders, policies, sinks, sources
from ncs_cluster.plugins import Registry
from tests.conftest import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text()
PACKAGE = ROOT / "ncs_cluster"
PATHS = sorted(set(re.findall(r"`([\w/]+\.py)(?::\w+)?`", PAGE)))
NAMES = sorted(set(re.findall(r"`([\w/]+\.py):(\w+)`", PAGE)))
DRAWN = re.compile(r'\["([\w, ]+)"\]')
REGISTRIES = [backends.BACKENDS, sources.SOURCES, decoders.DECODERS, policies.POLICIES, sinks.SINKS]


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    return PAGE.partition(f" {title}\n")[2].partition("\n#")[0]


def first_column(title: str) -> list[str]:
    rows = re.findall(r"^\| (`.*?) \|", section(title), re.M)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def layers() -> list[list[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found = next(each["layers"] for each in contracts if each["type"] == "layers")
    return [layer.split(" | ") for layer in found]


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_is_named_exists(path: str) -> None:
    assert (PACKAGE / path).is_file() or (ROOT / path).is_file()


@pytest.mark.parametrize(("path", "name"), NAMES)
def test_a_function_or_class_that_is_named_is_in_its_file(path: str, name: str) -> None:
    assert re.search(rf"^( *(def|class) {name}\b|{name} = )", (PACKAGE / path).read_text(), re.M)


def test_every_module_of_the_core_is_in_the_table_once() -> None:
    assert sorted(first_column("The core")) == sorted(path.stem for path in (PACKAGE / "core").glob("[a-z]*.py"))


def test_the_drawn_layers_are_those_that_are_checked() -> None:
    assert [drawn.split(", ") for drawn in DRAWN.findall(section("Layers"))] == layers()


def test_every_layer_says_what_it_holds() -> None:
    assert sorted(first_column("Layers")) == sorted(package for layer in layers() for package in layer)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_a_plugin_point_has_its_entry_points_and_its_section(registry: Registry) -> None:
    row = next(row for row in section("Plugin points").splitlines() if row.startswith(f"| {registry.kind} |"))
    anchor = registry.group.rpartition(".")[2]
    assert f"`{registry.group}`" in row
    assert f"(plugins.md#{anchor})" in row
    assert re.search(rf"^## {anchor}$", (ROOT / "docs/plugins.md").read_text(), re.M | re.I)


def test_every_plugin_point_is_in_the_table() -> None:
    assert len(re.findall(r"^\| \w+ \| `\w+/base\.py", section("Plugin points"), re.M)) == len(REGISTRIES)

"""Registries of plugins: built-in descriptors, those of other packages, and packages that are broken."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Struct

from ncs_cluster.errors import ConfigError
from ncs_cluster.plugins import Registry, load, made

GROUP = "test_plugins.animals"


class Animal(Struct, frozen=True):
    """A descriptor."""

    name: str
    legs: int = 4


OTTER = Animal("otter")


def registry() -> Registry[Animal]:
    return Registry("animal", GROUP, [Animal("cat"), Animal("hen", 2)])


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Makes an installed package of a module's text and its entry points."""

    def make(package: str, module: str, entry_points: str) -> None:
        home = tmp_path / package
        about = home / f"{package}-1.0.dist-info"
        about.mkdir(parents=True)
        (home / f"{package}.py").write_text(module)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[{GROUP}]\n{entry_points}\n")
        monkeypatch.syspath_prepend(str(home))

    return make


FROM_HERE = f"import sys\nAnimal = sys.modules[{__name__!r}].Animal\n"


def refusal(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        registry().get(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_built_in_plugin_is_found_by_its_name() -> None:
    assert registry().get("hen") == Animal("hen", 2)
    assert "hen" in registry()
    assert "otter" not in registry()


def test_a_plugin_of_another_package_is_found_by_its_entry_point(offer) -> None:  # type: ignore[no-untyped-def]
    offer("zoo", FROM_HERE + "PLUGIN = Animal('otter')\n", "otter = zoo:PLUGIN")
    animals = registry()
    assert animals.names() == ["cat", "hen", "otter"]
    assert "otter" in animals
    assert "zoo" not in sys.modules, "to list names imports nothing"
    assert animals.get("otter") == OTTER
    assert animals.get("otter") is animals.get("otter")


def test_a_built_in_name_always_means_the_built_in_plugin(offer) -> None:  # type: ignore[no-untyped-def]
    offer("thief", FROM_HERE + "PLUGIN = Animal('cat', 3)\n", "cat = thief:PLUGIN")
    assert registry().get("cat") == Animal("cat")
    assert registry().names() == ["cat", "hen"]


def test_an_unknown_name_is_refused_with_the_known_ones(offer) -> None:  # type: ignore[no-untyped-def]
    offer("zoo2", FROM_HERE + "PLUGIN = Animal('otter')\n", "otter = zoo2:PLUGIN")
    assert refusal("dodo") == 'there is no animal "dodo"; known: cat, hen, otter'


@pytest.mark.parametrize(
    ("module", "entry", "told"),
    [
        ("import no_such_module", "PLUGIN", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken(:", "PLUGIN", "cannot be loaded: SyntaxError: invalid syntax"),
        ("raise RuntimeError('two\\nlines')", "PLUGIN", "cannot be loaded: RuntimeError: two lines"),
        ("", "PLUGIN", "cannot be loaded: AttributeError: "),
        ("PLUGIN = 7", "PLUGIN", "is no Animal"),
        (FROM_HERE + "PLUGIN = Animal('cow')", "PLUGIN", 'calls itself "cow"'),
    ],
)
def test_a_broken_package_costs_one_line(
    offer,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    module: str,
    entry: str,
    told: str,
) -> None:
    package = "broken_" + re.sub(r"\W", "_", tmp_path.name)
    offer(package, module, f"otter = {package}:{entry}")
    line = refusal("otter")
    assert line.startswith(f'animal "otter" of another package ({package}:PLUGIN) {told}')
    assert line.endswith("; repair or uninstall that package")


def test_two_packages_that_offer_the_same_name_are_both_named(offer) -> None:  # type: ignore[no-untyped-def]
    offer("north", FROM_HERE + "PLUGIN = Animal('otter')\n", "otter = north:PLUGIN")
    offer("south", FROM_HERE + "PLUGIN = Animal('otter')\n", "otter = south:PLUGIN")
    assert refusal("otter") == 'animal "otter" is offered by north:PLUGIN, south:PLUGIN; uninstall all packages but one'


def test_an_object_that_cannot_be_imported_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^no_such_module:Thing cannot be loaded: ModuleNotFoundError: No module named"):
        load("no_such_module:Thing")
    assert load("ncs_cluster.errors:ConfigError") is ConfigError


def test_options_are_made_of_what_was_given_and_unknown_ones_are_refused() -> None:
    path = "ncs_cluster.backends.simulated:Options"
    assert made(path, {"depth": 3}).depth == 3
    with pytest.raises(ValueError, match="unexpected keyword argument 'size'"):
        made(path, {"size": 3})


def test_a_child_that_uses_built_in_plugins_does_not_read_what_is_installed() -> None:
    code = (
        "import sys; from ncs_cluster.backends import BACKENDS; BACKENDS.get('simulated'); "
        "print([name for name in ('importlib.metadata', 'numpy', 'dataclasses', 'pathlib') if name in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"


def test_a_package_on_a_path_that_is_added_later_is_found(offer) -> None:  # type: ignore[no-untyped-def]
    assert "lion" not in registry()
    offer("late", FROM_HERE + "PLUGIN = Animal('lion')\n", "lion = late:PLUGIN")
    assert registry().get("lion") == Animal("lion")

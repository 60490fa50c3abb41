"""The ranges of pyproject.toml are what was tried: from deploy/oldest.txt to deploy/constraints.txt."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from deploy.renew_constraints import lines

ROOT = Path(__file__).resolve().parents[2]
DEPENDENCIES = [Requirement(text) for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]]


def pinned(file: str) -> dict[str, Version]:
    found = [Requirement(line) for line in (ROOT / "deploy" / file).read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(each.name): Version(str(each.specifier).removeprefix("==")) for each in found}


@pytest.mark.parametrize("dependency", DEPENDENCIES, ids=lambda each: each.name)
def test_a_range_begins_with_the_oldest_version_that_is_tried_and_ends_behind_the_newest(dependency: Requirement) -> None:
    oldest, newest = pinned("oldest.txt")[dependency.name], pinned("constraints.txt")[canonicalize_name(dependency.name)]
    bounds = {each.operator: Version(each.version) for each in dependency.specifier}
    assert set(bounds) == {">=", "<"}
    assert oldest in dependency.specifier
    assert newest in dependency.specifier
    assert oldest.release[: len(bounds[">="].release)] == bounds[">="].release
    following = (newest.major, newest.minor + 1)
    assert bounds["<"].release[:2] in (following, (newest.major + 1, 0)[: len(bounds["<"].release)])


def test_the_oldest_versions_are_those_of_the_dependencies_alone() -> None:
    assert set(pinned("oldest.txt")) == {canonicalize_name(each.name) for each in DEPENDENCIES}


def test_a_version_is_written_once_or_for_each_python_that_has_another() -> None:
    found = {"3.11": {"numpy": "2.4.6", "h11": "0.16.0", "pip": "26"}, "3.13": {"numpy": "2.5.0", "h11": "0.16.0"}}
    assert lines(found) == [
        "h11==0.16.0",
        'numpy==2.4.6; python_version == "3.11"',
        'numpy==2.5.0; python_version == "3.13"',
    ]

"""Each module of the core has a test file of its name, so that a fault in a module fails the tests of that module."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster import core

MODULES = sorted(path.stem for path in Path(core.__file__).parent.glob("[a-z]*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_it_has_a_test_file_of_its_name(module: str) -> None:
    assert (Path(__file__).parent / f"test_{module}.py").is_file()

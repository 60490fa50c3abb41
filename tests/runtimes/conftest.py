"""A real Python 3.9 with what a child needs."""

from __future__ import annotations

import pytest

from tests import python39 as venv
from tests.python39 import Runtime

NEEDS = ["msgspec>=0.18,<0.21", "numpy>=1.19,<2", "opencv-python-headless>=4.5,<5"]


@pytest.fixture(scope="session")
def python39(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """A Python 3.9 that sees this package, its own libraries and nothing of the interpreter the tests run under."""
    return venv.runtime(".venv39", NEEDS, tmp_path_factory.mktemp("package"))

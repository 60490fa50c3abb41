"""Fixtures every room may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest_plugins = ["tests.oracle.runtime", "tests.myriad.emulated", "tests.aarch64.runtime"]

# a shell that runs the tests in its background has them ignore Ctrl-C, and what they start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with real models and media; tests that need it skip elsewhere."""
    folder = Path(os.environ.get("NCS_CLUSTER_TEST_DATA", ROOT.parent / "shared"))
    if not (folder / "media").is_dir():
        pytest.skip(f"no test data in {folder}: set NCS_CLUSTER_TEST_DATA to the folder that holds models/ and media/")
    return folder

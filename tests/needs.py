"""What a test needs and this machine has not: said at a desk, where it skips; with NCS_CLUSTER_CI=1 it fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from ncs_cluster.testing.myriad import build


def missing(reason: str) -> NoReturn:
    """Skip, or fail where the tests must run."""
    if os.environ.get("NCS_CLUSTER_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def need_compiler() -> None:
    """For what is compiled by the tests, or by the product as they use it."""
    if build.compiler() is None:
        missing("no C compiler: install gcc, or set CC")

"""A running gateway in front of a daemon that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ncs_cluster.testing.gateway import TOKEN, Site, site


@pytest.fixture
def running_site(tmp_path: Path) -> Iterator[Site]:
    """No token, one camera that draws while somebody looks."""
    with site(tmp_path) as opened:
        opened.live()
        yield opened


@pytest.fixture
def guarded_site(tmp_path: Path) -> Iterator[Site]:
    """The same behind a token."""
    with site(tmp_path, token=TOKEN) as opened:
        opened.live()
        yield opened

"""docs/configuration.md says what the code says."""

from __future__ import annotations

from ncs_cluster.config.document import page
from tests.conftest import ROOT


def test_the_page_is_not_stale() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == page(), (
        "run: python -m ncs_cluster.config.document > docs/configuration.md"
    )


def test_every_key_has_a_sentence() -> None:
    silent = [line for line in page().splitlines() if line.endswith("|  |") and "default" not in line]
    assert silent == []

"""The soak of a whole daemon, short enough for every day. Only what is lost, doubled or mixed up counts: times are for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.soak import daemon

pytestmark = pytest.mark.slow


def test_faults_at_random_lose_double_and_mix_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[Any] = []
    monkeypatch.setattr(daemon, "judge", lambda *seen: judged.append(seen) or 0)
    assert daemon.soak(0.2, 7, tmp_path) == 0
    ((observer, records, _early, _late, code, _took_s),) = judged
    assert sum(observer.made.values()) > 3
    assert (records.lost, records.doubled, records.out_of_order, observer.never, code) == (0, 0, 0, [], 0)
    assert records.seen > 100

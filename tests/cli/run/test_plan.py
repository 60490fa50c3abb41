"""What makes a job the same when its command is given again."""

from __future__ import annotations

from ncs_cluster.cli.run.plan import difference

GRAPH = {"threshold": 0.5, "model": "a", "weights": "b"}


def test_other_weights_make_another_job_and_a_ledger_that_does_not_know_them_goes_on() -> None:
    now = {"graph": GRAPH, "formats": ["csv"]}
    assert difference({**now, "graph": {**GRAPH, "weights": "c"}}, now) == "the graph's weights differs"
    before = {"graph": {"threshold": 0.5, "model": "a"}, "formats": ["csv"]}
    assert difference(before, now) is None
    assert difference({**before, "formats": ["coco"]}, now) == "its formats were coco, now csv"
    assert difference({"graph": {"threshold": 0.4, "model": "a"}, "formats": ["csv"]}, now) == "the graph's threshold differs"

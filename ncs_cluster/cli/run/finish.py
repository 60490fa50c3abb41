"""Gives a job's outputs their final form, once every record is written."""

from __future__ import annotations

from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.processes.made_sink import made_sink
from ncs_cluster.sinks.base import Finishing
from ncs_cluster.specs import SinkSpec


def finish(spec: SinkSpec, ledger: Ledger) -> None:
    """Does nothing for an output that is finished. Raises OSError, LedgerError."""
    progress = ledger.sink(spec.kind)
    if progress.finished:
        return
    sink = made_sink(spec)
    if isinstance(sink, Finishing):
        sink.open(progress.next, progress.token)
        try:
            sink.finish()
        finally:
            sink.close()
    ledger.finished(spec.kind)

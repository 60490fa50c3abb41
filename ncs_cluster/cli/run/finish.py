"""Gives a job's outputs their final form, once every record is written, and removes what they were made of."""

from __future__ import annotations

from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.processes.made_sink import made_sink
from ncs_cluster.sinks.base import Finishing, Tidying
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


def tidy(spec: SinkSpec) -> None:
    """For a job whose outputs are all final and in which no frame has failed. Raises OSError."""
    sink = made_sink(spec)
    if isinstance(sink, Tidying):
        sink.tidy()

"""Gives a job's outputs their final form, once every record is written."""

from __future__ import annotations

from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.plugins import load, made
from ncs_cluster.sinks import SINKS
from ncs_cluster.sinks.base import Finishing, Sink
from ncs_cluster.specs import SinkSpec


def finish(spec: SinkSpec, ledger: Ledger) -> None:
    """Does nothing for an output that is finished. Raises OSError, LedgerError."""
    progress = ledger.sink(spec.name)
    if progress.finished:
        return
    plugin = SINKS.get(spec.kind)
    sink: Sink = load(plugin.driver)(made(plugin.options, spec.options))
    if isinstance(sink, Finishing):
        sink.open(progress.next, progress.token)
        try:
            sink.finish()
        finally:
            sink.close()
    ledger.finished(spec.name)

"""Creates a sink of its settings. Runs on CPython 3.9."""

from __future__ import annotations

from ncs_cluster.plugins import load, made
from ncs_cluster.sinks import SINKS
from ncs_cluster.sinks.base import Sink
from ncs_cluster.specs import SinkSpec


def made_sink(spec: SinkSpec) -> Sink:
    """Not opened. Raises ConfigError, ValueError."""
    plugin = SINKS.get(spec.kind)
    driver, options = load(plugin.driver), made(plugin.options, spec.options)
    sink: Sink
    if plugin.redraws:
        from ncs_cluster.processes.imagery import JobImagery

        sink = driver(options, JobImagery())
    elif plugin.observes:
        from ncs_cluster.processes.observer import SocketObserver

        sink = driver(options, SocketObserver(options.runtime_dir))
    else:
        sink = driver(options)
    return sink

"""Sinks, where results go: one file each, with an `Options` dataclass and one class. The registry is literal.

A sink writes whole records in the order given and can say, after any death, which of them are really written.
"""

from ncs_cluster.plugins import Registry
from ncs_cluster.sinks.base import SinkPlugin

SINKS = Registry(
    "sink",
    "ncs_cluster.sinks",
    [
        SinkPlugin(
            name="jsonl",
            form="FILE or - (JSON Lines)",
            driver="ncs_cluster.sinks.jsonl:JsonLines",
            options="ncs_cluster.sinks.jsonl:Options",
            parse="ncs_cluster.sinks.jsonl:parse",
            files=True,
        ),
    ],
)

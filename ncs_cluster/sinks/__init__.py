"""The door for results on their way out. One file each; the registry is literal.

A sink writes whole records in the order given and can say, after any death, which of them are really written.
"""

SINKS = {
    "jsonl": "ncs_cluster.sinks.jsonl:JsonLines",
}

"""The door for what a graph's outputs mean: numpy in, detections or classes out. Pure; one file each.

The registry is literal. A decoder is a function `decode(outputs, graph, transform) -> Outcome`; beside it a module may have
`complaint(outputs) -> Optional[str]`, one line when a graph's outputs are not of its kind, asked before anything starts.
"""

DECODERS = {
    "ssd": "ncs_cluster.decoders.ssd:decode",
}

"""The door for what a graph's outputs mean: numpy in, detections or classes out. Pure; one file each.

The registry is literal. A decoder is a function `decode(outputs, graph, fit) -> Outcome`.
"""

DECODERS = {
    "ssd": "ncs_cluster.decoders.ssd:decode",
}

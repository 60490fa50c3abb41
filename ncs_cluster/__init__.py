"""ncs_cluster: keeps a pile of USB neural compute sticks working for weeks without overheating.

Public modules: `ncs_cluster.client` (talk to a running daemon), `ncs_cluster.config` (read settings),
`ncs_cluster.errors`, `ncs_cluster.testing`. This file imports nothing, so a child process pays only for what it uses.
"""

__version__ = "0.1.0"

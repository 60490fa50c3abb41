"""ncs_cluster: keeps a pile of USB neural compute sticks working for weeks without overheating.

Public: `ncs_cluster.Cluster` (sticks of a program's own), `ncs_cluster.client` (talk to a running daemon), `ncs_cluster.config`
(read settings), `ncs_cluster.errors`, `ncs_cluster.testing`. This file imports nothing until Cluster is asked for, so a child
process pays only for what it uses.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ncs_cluster.api.cluster import Cluster as Cluster
    from ncs_cluster.api.results import Result as Result

__version__ = "0.1.0"

# `python -m` leaves "-m" there until it has found its module: this process is one of the package's own, with no other thread yet
if getattr(sys, "argv", [])[:1] == ["-m"]:
    from ncs_cluster import msgspec_library

    msgspec_library.load()


def __getattr__(name: str) -> Any:
    module = {"Cluster": "ncs_cluster.api.cluster", "Result": "ncs_cluster.api.results"}.get(name)
    if module is not None:
        from importlib import import_module

        return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

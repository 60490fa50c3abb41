"""Which graph answers a client of the detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional, Protocol

WITHOUT_BOXES = ("classification", "features")
"""Decoders that find nothing that Frigate could show."""


class Served(Protocol):
    """A graph that the daemon serves."""

    @property
    def decoder(self) -> str: ...
    @property
    def width(self) -> int:
        """Of its input, pixels; 0: not known yet."""

    @property
    def height(self) -> int: ...


def choose(
    graphs: Mapping[str, Served], asked: Optional[str], default: Optional[str], size: Optional[tuple[int, int]] = None
) -> Optional[str]:
    """The name of the graph: the one that the client's `model.path` names, with or without an ending such as ".onnx"; else the
    operator's; else a detector whose input has the size (width, height) of the client's tensor; else a detector, else any. None
    where the daemon serves none."""
    for name in (asked, (asked or "").rpartition(".")[0], default):
        if name and name in graphs:
            return name
    detectors = [name for name, graph in graphs.items() if graph.decoder not in WITHOUT_BOXES]
    fitting = [name for name in detectors if size == (graphs[name].width, graphs[name].height)]
    return next(iter([*fitting, *detectors, *graphs]), None)

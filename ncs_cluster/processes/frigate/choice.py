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
    """The name of the graph that answers a client; None where the daemon serves none. The first of:

    1. `asked`, the last part of the client's `model.path`, with or without an ending such as ".onnx"
    2. `default`, which the operator has set
    3. a graph that finds objects and whose input has `size`, width and height of the client's tensor
    4. a graph that finds objects
    5. any graph
    """
    for name in (asked, (asked or "").rpartition(".")[0], default):
        if name and name in graphs:
            return name
    detectors = [name for name, graph in graphs.items() if graph.decoder not in WITHOUT_BOXES]
    fitting = [name for name in detectors if size == (graphs[name].width, graphs[name].height)]
    return next(iter([*fitting, *detectors, *graphs]), None)

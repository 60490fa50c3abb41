"""What every decoder looks like. Runs on CPython 3.9, numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ncs_cluster.specs import GraphSpec
    from ncs_cluster.types import Outcome


class Fit(NamedTuple):
    """How the frame lies in the graph's input, to carry boxes back: input = frame * scale + offset, all normalised 0..1."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0


class Decoder(Protocol):
    """Outputs of one frame -> what was seen. Never raises on strange numbers: rows that make no sense are skipped."""

    def __call__(self, outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, fit: Fit) -> Outcome: ...

"""What every decoder looks like. Runs on CPython 3.9, numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ncs_cluster.specs import GraphSpec
    from ncs_cluster.types import Outcome, ResizeTransform


class Decoder(Protocol):
    """Outputs of one frame -> what was seen. Never raises on strange numbers: rows that make no sense are skipped."""

    def __call__(self, outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, transform: ResizeTransform) -> Outcome: ...

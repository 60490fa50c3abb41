"""The interface of decoders. Runs on CPython 3.9, numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ncs_cluster.specs import GraphSpec
    from ncs_cluster.types import Outcome, ResizeTransform


class Decoder(Protocol):
    """Outputs of one frame -> what was seen. Never raises on strange numbers: rows that make no sense are skipped."""

    def __call__(self, outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, transform: ResizeTransform, options: Any) -> Outcome:
        """`outputs`: output name -> float array as the graph gives it. `transform`: how the frame lies in the graph's input, and
        the input's size; boxes are given in the frame, 0..1. `options`: the decoder's own `Options`."""


class DecoderPlugin(Struct, frozen=True, kw_only=True):
    """The registry entry of a decoder, known without importing it. Strings that name code are "module:attribute"."""

    name: str
    title: str
    """Kind of outputs it decodes, for help and docs."""
    decode: str
    """The function: see Decoder."""
    options: str
    """The frozen dataclass of its options, keys of `[decoder]` in graph.toml. Its `__post_init__` raises ValueError, one line, for
    values that make no sense."""
    default_threshold: float = 0.6
    """Threshold of a graph that has none of its own, 0..1."""
    extra_outputs: Optional[str] = None
    """`(options) -> List[str]`: names of tensors or layers inside the model that are to be outputs beside its own."""
    first_label_id: int = 0
    """Id of the first name of a label file without ids, where the model does not say it. 1: id 0 is the background."""
    check_outputs: Optional[str] = None
    """`(outputs, graph, options) -> Optional[str]`: why the outputs are not for this decoder, or the graph's labels not for the
    outputs, one line. Called before a child starts, with the outputs of an empty frame, or zeros."""

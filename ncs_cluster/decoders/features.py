"""Features: an output, or a layer inside the graph, as one vector of float32. Runs on CPython 3.9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Mapping, Optional

from ncs_cluster.decoders._numpy import np
from ncs_cluster.decoders._outputs import chosen, complaint, shapes
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Outcome, ResizeTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray  # numpy 1.19, which OpenVINO 2021.4 wants, has none

MOST = 12_288
"""Numbers of one frame: 48 KiB, so that results of many sticks do not fill the supervisor's memory."""


@dataclass(frozen=True)
class Options:
    """Which numbers are the features."""

    output: str = ""
    """The name of the output; needed where the graph has several."""
    layer: str = ""
    """The name of a tensor or layer inside the model, which is made an output when OpenVINO loads the model. A blob has its outputs
    alone."""
    l2: bool = False
    """Divided by their Euclidean length, so that the dot product of two vectors is the cosine of their angle."""

    def __post_init__(self) -> None:
        if self.output and self.layer:
            raise ValueError("output and layer exclude each other; name one")


def decode(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, transform: ResizeTransform, options: Options) -> Outcome:
    """All numbers of the output, flat in the order of its axes. None where one of them is not finite in float32, where there are
    more than MOST, or where there is no such output. A vector of zeros stays one with `l2` too."""
    output = chosen(outputs, options.layer or options.output)
    if output is None or not 1 <= output.size <= MOST:
        return Outcome()
    vector = output.reshape(-1).astype(np.float64)
    if options.l2 and np.isfinite(vector).all():
        length = float(np.sqrt((vector * vector).sum()))
        vector = vector / length if 0 < length < np.inf else vector
    with np.errstate(over="ignore", invalid="ignore"):
        features = vector.astype("<f4")
    return Outcome(features=features.tobytes()) if np.isfinite(features).all() else Outcome()


def extra_outputs(options: Options) -> List[str]:
    """Tensors inside the model that the decoder wants as outputs."""
    return [options.layer] if options.layer else []


def check_outputs(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, options: Options) -> Optional[str]:
    """Why these outputs are not for this decoder, in one line; None when they are."""
    if options.layer and options.layer not in outputs:
        return f'decoder "features" wants the layer "{options.layer}", and a blob gives its outputs alone: {shapes(outputs)}'
    output = chosen(outputs, options.layer or options.output)
    if output is None:
        return complaint("features", outputs, options.output)
    if not 1 <= output.size <= MOST:
        return f'decoder "features" gives at most {MOST} numbers for a frame, and the graph gives {shapes(outputs)}'
    return None

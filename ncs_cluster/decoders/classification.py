"""Classifications: a vector of one score for each class, as logits or as a distribution. Runs on CPython 3.9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Mapping, Optional

from ncs_cluster.decoders._numpy import np
from ncs_cluster.decoders._outputs import chosen, complaint, shapes
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Classified, Outcome, ResizeTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray  # numpy 1.19, which OpenVINO 2021.4 wants, has none

MOST = 100
"""Classes of one frame that are passed on."""
SUM_TOLERANCE = 0.03
"""A distribution of 8-bit or 16-bit floats sums to 1 within this."""


@dataclass(frozen=True)
class Options:
    """Which classes are passed on, and what the numbers of the output are."""

    top: int = 5
    """Classes of one frame that are passed on, those with the highest scores, at or over the threshold."""
    softmax: Literal["auto", "yes", "no"] = "auto"
    """Whether the output is logits, of which softmax makes scores. auto: it is, unless its numbers are 0 or more and sum to 1. "no"
    for independent scores, as of sigmoids."""
    output: str = ""
    """The name of the output; needed where the graph has several."""

    def __post_init__(self) -> None:
        if not 1 <= self.top <= MOST:
            raise ValueError(f"top must be 1 to {MOST}")
        if self.softmax not in ("auto", "yes", "no"):
            raise ValueError(f'softmax must be auto, yes or no, not "{self.softmax}"')


def decode(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, transform: ResizeTransform, options: Options) -> Outcome:
    """The `top` classes of at least `graph.threshold`, best first; of equal scores the lower id first.

    Numbers that are not finite are no class's. A class without a label is called by its id. No output that is a vector: no class.
    """
    vector = _vector(outputs, options)
    if vector is None:
        return Outcome()
    ids = np.flatnonzero(np.isfinite(vector))
    scores = vector[ids].astype(np.float64)
    if len(scores) and (options.softmax == "yes" or (options.softmax == "auto" and not _is_distribution(scores))):
        scores = np.exp(scores - scores.max())
        scores /= scores.sum()
    best = np.argsort(-scores, kind="stable")[: options.top]
    kept = best[scores[best] >= graph.threshold]
    pairs = zip(ids[kept].tolist(), scores[kept].tolist())
    return Outcome(classes=[Classified(graph.labels.get(label_id, str(label_id)), label_id, score) for label_id, score in pairs])


def check_outputs(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, options: Options) -> Optional[str]:
    """Why these outputs, or the labels beside them, are not for this decoder, in one line; None when they are."""
    if chosen(outputs, options.output) is None:
        return complaint("classification", outputs, options.output)
    vector = _vector(outputs, options)
    if vector is None:
        return f'decoder "classification" needs a score for each class, as in [1, 1000], and the graph gives {shapes(outputs)}'
    ids = sorted(graph.labels)
    if ids and ids[-1] >= len(vector):
        return f"the graph gives {len(vector)} classes, from 0, and its labels name class {ids[-1]}: correct labels in graph.toml"
    if ids == list(range(len(vector) - 1)):
        remedy = "set labels.first_id = 1 in graph.toml where class 0 is the background, else name all classes"
        return f"the graph gives {len(vector)} classes and its labels name one less: {remedy}"
    return None


def _vector(outputs: Mapping[str, NDArray[Any]], options: Options) -> Optional[NDArray[Any]]:
    """[N] of an output [1, N], [1, N, 1, 1], [1, 1, 1, N], ...; None where the output is no vector of two numbers or more."""
    output = chosen(outputs, options.output)
    if output is None or output.size < 2 or output.size != max(output.shape):
        return None
    vector: NDArray[Any] = output.reshape(-1)
    return vector


def _is_distribution(scores: NDArray[Any]) -> bool:
    return bool(scores.min() >= -1e-6 and abs(scores.sum() - 1.0) <= SUM_TOLERANCE)

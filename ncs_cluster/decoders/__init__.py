"""Decoders, what a graph's outputs mean: numpy in; detections, classes or features out. Pure; one file each; the registry is
literal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional

from ncs_cluster.decoders.base import DecoderPlugin
from ncs_cluster.plugins import Registry, load, made

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ncs_cluster.specs import GraphSpec
    from ncs_cluster.types import Outcome, ResizeTransform

    Decode = Callable[[Mapping[str, NDArray[Any]], ResizeTransform], Outcome]

DECODERS = Registry(
    "decoder",
    "ncs_cluster.decoders",
    [
        DecoderPlugin(
            name="ssd",
            title="SSD graphs: DetectionOutput, the outputs of TensorFlow's Object Detection, or boxes with scores",
            decode="ncs_cluster.decoders.ssd:decode",
            options="ncs_cluster.decoders.ssd:Options",
            first_label_id=1,
            check_outputs="ncs_cluster.decoders.ssd:check_outputs",
        ),
        DecoderPlugin(
            name="yolo",
            title="YOLO heads: v5 to v11 and YOLOX",
            decode="ncs_cluster.decoders.yolo:decode",
            options="ncs_cluster.decoders.yolo:Options",
            default_threshold=0.25,
            check_outputs="ncs_cluster.decoders.yolo:check_outputs",
        ),
        DecoderPlugin(
            name="classification",
            title="One score for each class",
            decode="ncs_cluster.decoders.classification:decode",
            options="ncs_cluster.decoders.classification:Options",
            default_threshold=0.0,
            check_outputs="ncs_cluster.decoders.classification:check_outputs",
        ),
        DecoderPlugin(
            name="features",
            title="An output, or a layer inside the graph, as a vector",
            decode="ncs_cluster.decoders.features:decode",
            options="ncs_cluster.decoders.features:Options",
            default_threshold=0.0,
            extra_outputs="ncs_cluster.decoders.features:extra_outputs",
            check_outputs="ncs_cluster.decoders.features:check_outputs",
        ),
    ],
)


def create(graph: GraphSpec) -> Decode:
    """The graph's decoder with its options. Raises ConfigError for an unknown or broken plugin, ValueError for invalid options."""
    plugin = DECODERS.get(graph.decoder)
    decode, options = load(plugin.decode), made(plugin.options, graph.decoder_options)

    def decoded(outputs: Mapping[str, NDArray[Any]], transform: ResizeTransform) -> Outcome:
        outcome: Outcome = decode(outputs, graph, transform, options)
        return outcome

    return decoded


def check_outputs(graph: GraphSpec, outputs: Mapping[str, Any]) -> Optional[str]:
    """Why a graph with these outputs is not for its decoder, one line; None when it is. Raises as `create`."""
    plugin = DECODERS.get(graph.decoder)
    options = made(plugin.options, graph.decoder_options)
    complaint: Optional[str] = None if plugin.check_outputs is None else load(plugin.check_outputs)(outputs, graph, options)
    return complaint

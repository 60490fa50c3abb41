"""How bright a frame is, as one class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from ncs_cluster.decoders.base import DecoderPlugin
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Classified, Outcome, ResizeTransform


@dataclass(frozen=True)
class Options:
    """From which brightness on a frame is bright."""

    bright_from: float = 128.0

    def __post_init__(self) -> None:
        if not 0 <= self.bright_from <= 255:
            raise ValueError("bright_from must be 0 to 255")


def decode(outputs: Mapping[str, Any], graph: GraphSpec, transform: ResizeTransform, options: Options) -> Outcome:
    values = [float(value) for value in outputs.get("brightness", ())]
    if len(values) != 1 or not math.isfinite(values[0]):
        return Outcome()
    bright, score = values[0] >= options.bright_from, min(1.0, max(0.0, values[0] / 255))
    return Outcome(classes=[Classified("bright" if bright else "dark", int(bright), score)])


def check_outputs(outputs: Mapping[str, Any], graph: GraphSpec, options: Options) -> Optional[str]:
    return None if "brightness" in outputs else 'decoder "example" needs an output "brightness"'


PLUGIN = DecoderPlugin(
    name="example",
    title="the brightness of a frame",
    decode="ncs_cluster_example.decoder:decode",
    options="ncs_cluster_example.decoder:Options",
    check_outputs="ncs_cluster_example.decoder:check_outputs",
)

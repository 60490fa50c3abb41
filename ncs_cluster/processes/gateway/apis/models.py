"""Open Inference Protocol v2: metadata, configuration and statistics of a graph.

Fields: the protocol's model metadata; Triton's model configuration (which perf_analyzer reads) and statistics extensions.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ncs_cluster.messages import ServedGraph
from ncs_cluster.processes.gateway.apis.asked import INPUT

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository(index)", "statistics"]
PLATFORM = "ncs_cluster"


def server(version: str) -> dict[str, Any]:
    return {"name": "ncs_cluster", "version": version, "extensions": EXTENSIONS}


def metadata(graph: ServedGraph) -> dict[str, Any]:
    """-1 is a size that no stick has told yet."""
    return {
        "name": graph.name,
        "versions": ["1"],
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": _shape(graph)}],
        "outputs": [{"name": output.name, "datatype": "FP32", "shape": output.shape} for output in graph.outputs],
    }


def configuration(graph: ServedGraph) -> dict[str, Any]:
    """Batches are 1 and part of the shape, so `max_batch_size` is 0."""
    return {
        "name": graph.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": 0,
        "input": [{"name": INPUT, "data_type": "TYPE_UINT8", "dims": _shape(graph)}],
        "output": [{"name": output.name, "data_type": "TYPE_FP32", "dims": output.shape} for output in graph.outputs],
        "parameters": {"colour": {"string_value": "BGR"}, "decoder": {"string_value": graph.decoder}},
    }


def is_ready(graph: ServedGraph) -> bool:
    """Whether the size of its input is known."""
    return graph.width > 0 and graph.height > 0


def _shape(graph: ServedGraph) -> list[int]:
    return [1, graph.height or -1, graph.width or -1, 3]


@dataclass
class Statistics:
    """Of one graph, since the gateway has started; times in seconds."""

    answered: int = 0
    failed: int = 0
    whole_s: float = 0.0
    """From a whole request to its response."""
    failed_s: float = 0.0
    stick_s: float = 0.0
    read_s: float = 0.0
    """Reading the requests' tensors."""
    written_s: float = 0.0
    last_at: float = 0.0
    """Unix seconds."""

    def succeeded(self, whole_s: float, stick_s: float, read_s: float, written_s: float) -> None:
        self.answered += 1
        self.whole_s += whole_s
        self.stick_s += stick_s
        self.read_s += read_s
        self.written_s += written_s
        self.last_at = time.time()

    def document(self, name: str) -> dict[str, Any]:
        queue_s = max(0.0, self.whole_s - self.stick_s - self.read_s - self.written_s)
        of_answered = {
            "success": self.whole_s,
            "queue": queue_s,
            "compute_input": self.read_s,
            "compute_infer": self.stick_s,
            "compute_output": self.written_s,
        }
        return {
            "name": name,
            "version": "1",
            "last_inference": int(self.last_at * 1000),
            "inference_count": self.answered,
            "execution_count": self.answered,
            "inference_stats": {
                **{part: _duration(self.answered, seconds) for part, seconds in of_answered.items()},
                "fail": _duration(self.failed, self.failed_s),
                "cache_hit": _duration(0, 0.0),
                "cache_miss": _duration(0, 0.0),
            },
            "batch_stats": [],
        }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": int(seconds * 1e9)}

"""The input and the outputs of a loaded graph, told to those who serve it to other programs. Runs on CPython 3.9."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from ncs_cluster.types import GraphPorts, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def graph_ports(width: int, height: int, outputs: Mapping[str, NDArray[Any]]) -> GraphPorts:
    """`width`, `height`: of the input, pixels. `outputs`: of one inference."""
    tensors = [Tensor(name, [int(side) for side in array.shape]) for name, array in outputs.items()]
    return GraphPorts(int(width), int(height), tensors)

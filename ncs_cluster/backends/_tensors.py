"""Tensor buffers of a Myriad X as numpy arrays: offset, type, layout and strides of each input and output.

A blob's buffer holds all inputs (or all outputs) of one inference, each at its own offset. Runs on CPython 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Union

from ncs_cluster.backends._ports import graph_ports
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphPorts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ncs_cluster.xlink.blob import Blob, Port

DTYPES = {"fp16": "<f2", "u8": "|u1", "s32": "<i4", "fp32": "<f4"}
LOGICAL = "NCDHW"
"""Order of a model's axes; the order in memory may differ."""


class Tensors:
    """The buffers of one graph. Raises StickError("graph", ...) unless its one input is a picture."""

    def __init__(self, spec: GraphSpec, blob: Blob) -> None:
        where = f"graph {spec.name}: {spec.blob}"
        self.blob, self.spec = blob, spec
        pictures = [port for port in blob.inputs if port.layout in ("NCHW", "NHWC")]
        if len(blob.inputs) != 1 or not pictures:
            names = ", ".join(f"{port.name} {port.layout} {list(port.shape)}" for port in blob.inputs)
            raise StickError("graph", f"{where}: its inputs are {names}: a graph has exactly one input, a picture [1, 3, H, W]")
        self._picture = pictures[0]
        sides = dict(zip(self._picture.layout, self._picture.shape))
        if sides["N"] != 1 or sides["C"] != 3:
            raise StickError("graph", f"{where}: its input {list(self._picture.shape)} is not one colour picture")
        self.width, self.height = sides["W"], sides["H"]
        dense = DENSE[self._picture.dtype]
        for side, stride in zip(reversed(self._picture.shape), reversed(self._picture.strides)):
            if side > 1 and stride != dense:
                raise StickError("graph", f"{where}: its input has padding, which is not supported")
            dense *= side

    @property
    def layout(self) -> str:
        """ "NCHW" or "NHWC"."""
        return self._picture.layout

    def blank(self) -> NDArray[np.uint8]:
        """A buffer for one inference's input, all zero."""
        import numpy

        return numpy.zeros(self.blob.inputs_size, numpy.uint8)

    def picture(self, buffer: NDArray[np.uint8]) -> NDArray[Any]:
        """The input's values inside a buffer, flat."""
        start = self._picture.offset
        values: NDArray[Any] = buffer[start : start + self._picture.size].view(DTYPES[self._picture.dtype])
        return values

    def outputs(self, data: Union[bytes, bytearray, memoryview]) -> Dict[str, NDArray[np.float32]]:
        """Output name -> float32 array in the model's order of axes. `data` has `blob.outputs_size` bytes."""
        return {port.name: _array(port, data) for port in self.blob.outputs}

    def ports(self) -> GraphPorts:
        return graph_ports(self.width, self.height, self.outputs(bytes(self.blob.outputs_size)))


DENSE = {"fp16": 2, "u8": 1, "s32": 4, "fp32": 4}


def _array(port: Port, data: Union[bytes, bytearray, memoryview]) -> NDArray[np.float32]:
    import numpy

    values: NDArray[Any] = numpy.ndarray(port.shape, DTYPES[port.dtype], data, port.offset, port.strides)
    order: List[int] = [port.layout.index(axis) for axis in LOGICAL if axis in port.layout]
    return values.transpose(order).astype(numpy.float32, order="C", copy=False)

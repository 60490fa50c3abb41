"""Open Inference Protocol v2: what a request for an inference must be, in whatever form it came: JSON, binary tensors, or messages
of gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Protocol, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

INPUT = "input"
"""The name of a graph's one input."""
DATATYPE = "UINT8"
SHARED_MEMORY = "shared_memory"
"""Parameters that begin with it name a region of Triton's extension."""
_LONGEST_TIMEOUT = 10**15
"""Microseconds; the server gives up earlier."""


class BadTensors(Exception):
    """The reason why a request cannot be carried out, one line."""


class UnknownModel(Exception):
    """The daemon serves no such model, or not this version of it; one line."""


class Asked(Struct, frozen=True):
    """A request that was read. `tensor`: uint8 [height, width, 3]. `outputs`: names, and whether each is binary; None: all, by
    `binary`."""

    id: Optional[str]
    tensor: NDArray[np.uint8]
    outputs: Optional[list[tuple[str, bool]]]
    binary: bool
    timeout_s: Optional[float]


class Described(Protocol):
    """A tensor of a request, whatever holds its values."""

    @property
    def name(self) -> str: ...
    @property
    def datatype(self) -> str: ...
    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...


Tensor = TypeVar("Tensor", bound=Described)


def the_input(inputs: Sequence[Tensor], width: int, height: int) -> Tensor:
    """The one input of a request for a graph of that size. Raises BadTensors."""
    if len(inputs) != 1:
        raise BadTensors(f"the graph has 1 input, {INPUT!r}, and the request has {len(inputs)}")
    given = inputs[0]
    if given.name != INPUT:
        raise BadTensors(f"the graph has no input {given.name[:80]!r}: its name is {INPUT!r}")
    if given.datatype != DATATYPE:
        raise BadTensors(f"{INPUT!r} is {DATATYPE}, not {given.datatype[:20]}")
    if list(given.shape) != [1, height, width, 3]:
        raise BadTensors(f"{INPUT!r} has the shape [1, {height}, {width}, 3], not {list(given.shape[:8])}"[:300])
    if any(name.startswith(SHARED_MEMORY) for name in given.parameters):
        raise BadTensors("shared memory regions are not supported: send the tensor with the request")
    return given


def check_values(values: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Numbers that were sent one by one, as the input's tensor of `size` values. Raises BadTensors."""
    if values.size != size:
        raise BadTensors(f"{INPUT!r} has {size} values, and the request {values.size}")
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        raise BadTensors(f"the data of {INPUT!r} must be whole numbers from 0 to 255")
    return values.astype(np.uint8)


def check_output_parameters(name: str, parameters: Iterable[str]) -> None:
    """Raises BadTensors for an output that is wanted in another form than its tensor."""
    if any(each == "classification" or each.startswith(SHARED_MEMORY) for each in parameters):
        raise BadTensors(f"output {name[:80]!r}: neither classification nor shared memory regions are supported")


def check_outputs(asked: Asked, names: Sequence[str]) -> None:
    """Raises BadTensors for an output that the graph does not have, or that is asked for twice, before a stick works for it."""
    asked_before: set[str] = set()
    for name, _ in asked.outputs or ():
        if name not in names:
            raise BadTensors(f"the graph has no output {name[:80]!r}: it has {', '.join(names)}")
        if name in asked_before:
            # a response is as large as the outputs that are asked for
            raise BadTensors(f"output {name!r} is asked for twice")
        asked_before.add(name)


def timeout_s(parameter: object) -> Optional[float]:
    """Triton's parameter `timeout` is in microseconds; 0: none."""
    if not isinstance(parameter, int) or isinstance(parameter, bool) or parameter <= 0:
        return None
    # bounded first: a larger whole number than a float can be is no error of the server
    return min(parameter, _LONGEST_TIMEOUT) / 1e6

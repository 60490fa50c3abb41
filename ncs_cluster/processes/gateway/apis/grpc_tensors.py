"""Open Inference Protocol v2: requests and responses of an inference as messages of gRPC.

A tensor is in `raw_input_contents`, as Triton's client sends it, or in the typed `contents` of its input; the answer has the same
form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncs_cluster.processes.gateway.apis import grpc_messages
from ncs_cluster.processes.gateway.apis.asked import (
    INPUT,
    Asked,
    BadTensors,
    check_output_parameters,
    check_values,
    the_input,
    timeout_s,
)
from ncs_cluster.processes.intake import Answer

VARINT_BYTES = 2
"""Bytes of a number from 128 to 255 in typed contents."""


def read(message: Any, width: int, height: int) -> Asked:
    """A ModelInferRequest for a graph whose input is `width` x `height` pixels. Raises BadTensors."""
    given = the_input(message.inputs, width, height)
    tensor = _tensor(given, message.raw_input_contents, height * width * 3)
    raw = bool(message.raw_input_contents)
    for wanted in message.outputs:
        check_output_parameters(wanted.name, wanted.parameters)
    outputs = [(wanted.name, raw) for wanted in message.outputs] or None
    parameter = message.parameters.get("timeout")
    choice = None if parameter is None else parameter.WhichOneof("choice")
    waits_s = None if choice is None else timeout_s(getattr(parameter, choice))
    return Asked(message.id, tensor.reshape(height, width, 3), outputs, raw, waits_s)


def _tensor(given: Any, raw: Any, size: int) -> NDArray[np.uint8]:
    typed = given.contents.ByteSize() > 0
    if raw:
        if typed:
            raise BadTensors(f"{INPUT!r} has both contents and raw_input_contents: send one of them")
        if len(raw) != 1:
            raise BadTensors(f"the request has 1 input, and {len(raw)} raw_input_contents")
        data = raw[0]
        if len(data) != size:
            raise BadTensors(f"{INPUT!r} has {size} bytes, and raw_input_contents {len(data)}")
        return np.frombuffer(data, np.uint8)
    if not typed:
        raise BadTensors(f"{INPUT!r} has no data: it is UINT8, so send uint_contents or raw_input_contents")
    return check_values(np.fromiter(given.contents.uint_contents, np.uint32), size)


def write(model: str, asked: Asked, answer: Answer) -> bytes:
    """A ModelInferResponse."""
    names = list(answer.outputs) if asked.outputs is None else [name for name, _ in asked.outputs]
    message = grpc_messages.made("ModelInferResponse", {"model_name": model, "model_version": "1", "id": asked.id})
    for name in names:
        tensor = answer.outputs[name]
        described = message.outputs.add(name=name, datatype="FP32", shape=tensor.shape)
        if asked.binary:
            message.raw_output_contents.append(tensor.astype("<f4", copy=False).tobytes())
        else:
            described.contents.fp32_contents.extend(tensor.reshape(-1).tolist())
    found: bytes = message.SerializeToString()
    return found

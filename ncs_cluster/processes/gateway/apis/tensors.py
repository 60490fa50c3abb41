"""Open Inference Protocol v2: requests and responses of `infer`, with JSON and binary tensors.

Layout: the protocol's REST binding, and its binary tensor data extension: the header `Inference-Header-Content-Length` says how
long the JSON is, the tensors follow it in the order in which the JSON names them.
"""

from __future__ import annotations

from typing import Any, Optional

import msgspec
import numpy as np
from msgspec import Struct, UnsetType
from numpy.typing import NDArray

from ncs_cluster.processes.gateway.apis.asked import (
    INPUT,
    Asked,
    BadTensors,
    check_output_parameters,
    check_outputs,
    check_values,
    the_input,
    timeout_s,
)
from ncs_cluster.processes.gateway.apis.bodies import FORM_BYTES

HEADER_LENGTH = "Inference-Header-Content-Length"
JSON, BINARY = "application/json", "application/octet-stream"
JSON_BYTES = 12
"""Bytes that a number of a tensor may take in JSON, with brackets and blanks."""


class Input(Struct, frozen=True):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw | UnsetType = msgspec.UNSET
    parameters: dict[str, Any] = {}


class Wanted(Struct, frozen=True):
    name: str
    parameters: dict[str, Any] = {}


class InferRequest(Struct, frozen=True):
    """The JSON of a request; fields that the protocol has and this server does not need are passed over."""

    inputs: list[Input]
    id: Optional[str] = None
    parameters: dict[str, Any] = {}
    outputs: list[Wanted] = []


def read(body: bytes, header_length: Optional[str], width: int, height: int) -> Asked:
    """A request for a graph whose input is `width` x `height` pixels. Raises BadTensors."""
    length = len(body) if header_length is None else _length(header_length, len(body))
    if length > FORM_BYTES + JSON_BYTES * height * width * 3:
        raise BadTensors(f"the JSON has {length} bytes, more than a tensor of {height}x{width}x3 numbers needs")
    try:
        asked = msgspec.json.decode(memoryview(body)[:length], type=InferRequest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadTensors(f"the request is not as the protocol has it: {error}"[:300]) from None
    given = the_input(asked.inputs, width, height)
    tensor = _tensor(given, memoryview(body)[length:], height * width * 3)
    binary = asked.parameters.get("binary_data_output") is True
    outputs = [(wanted.name, _wants_binary(wanted, binary)) for wanted in asked.outputs] or None
    return Asked(asked.id, tensor.reshape(height, width, 3), outputs, binary, timeout_s(asked.parameters.get("timeout")))


def _length(text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 12 and int(text) <= most):
        raise BadTensors(f"{HEADER_LENGTH} must be the length of the JSON, at most the {most} bytes of the body")
    return int(text)


def _tensor(given: Input, behind: memoryview, size: int) -> NDArray[np.uint8]:
    stated = given.parameters.get("binary_data_size")
    if stated is not None:
        if given.data is not msgspec.UNSET:
            raise BadTensors(f"{INPUT!r} has both data and binary_data_size: send one of them")
        if stated != len(behind) or stated != size:
            raise BadTensors(
                f"{INPUT!r} has {size} bytes; binary_data_size says {str(stated)[:20]}, and {len(behind)} follow the JSON"
            )
        return np.frombuffer(behind, np.uint8)
    if isinstance(given.data, UnsetType):
        raise BadTensors(f"{INPUT!r} has no data")
    if len(behind):
        raise BadTensors(f"{len(behind)} bytes follow the JSON, and no input has binary_data_size")
    try:
        # flat, or nested as the shape is
        try:
            values = np.array(msgspec.json.decode(given.data, type=list[int]))
        except msgspec.ValidationError:
            values = np.array(msgspec.json.decode(given.data, type=list[list[list[list[int]]]])).reshape(-1)
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError) as error:
        raise BadTensors(f"the data of {INPUT!r} is no tensor of whole numbers: {error}"[:300]) from None
    return check_values(values, size)


def _wants_binary(wanted: Wanted, default: bool) -> bool:
    check_output_parameters(wanted.name, wanted.parameters)
    return bool(wanted.parameters.get("binary_data", default))


def write(model: str, asked: Asked, outputs: dict[str, NDArray[np.float32]]) -> tuple[bytes, dict[str, str]]:
    """The body of a response, and its headers. Raises BadTensors for an output that the graph does not have."""
    wanted = [(name, asked.binary) for name in outputs] if asked.outputs is None else asked.outputs
    check_outputs(asked, list(outputs))
    described: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for name, binary in wanted:
        tensor = outputs[name]
        output: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(tensor.shape)}
        if binary:
            behind.append(tensor.astype("<f4", copy=False).tobytes())
            output["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            # NaN has no form in JSON and becomes null
            output["data"] = tensor.reshape(-1).tolist()
        described.append(output)
    response: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": described}
    if asked.id is not None:
        response["id"] = asked.id
    text = msgspec.json.encode(response)
    if not behind:
        return text, {"Content-Type": JSON}
    return b"".join([text, *behind]), {"Content-Type": BINARY, HEADER_LENGTH: str(len(text))}

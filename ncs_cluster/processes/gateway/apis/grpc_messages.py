"""Open Inference Protocol v2: the messages of gRPC, in a descriptor pool of our own.

Names and numbers: the protocol's open_inference_grpc.proto, and Triton's grpc_service.proto and model_config.proto for
configuration, statistics and the repository's index; of messages this has the fields that are read or answered here. The pool is
not the process's default one, in which two packages that hold the same messages exclude each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

MESSAGES = """
ServerLiveRequest
ServerLiveResponse
    1 bool live
ServerReadyRequest
ServerReadyResponse
    1 bool ready
ModelReadyRequest
    1 string name
    2 string version
ModelReadyResponse
    1 bool ready
ServerMetadataRequest
ServerMetadataResponse
    1 string name
    2 string version
    3 string[] extensions
ModelMetadataRequest
    1 string name
    2 string version
ModelMetadataResponse
    1 string name
    2 string[] versions
    3 string platform
    4 TensorMetadata[] inputs
    5 TensorMetadata[] outputs
TensorMetadata
    1 string name
    2 string datatype
    3 int64[] shape
ModelInferRequest
    1 string model_name
    2 string model_version
    3 string id
    4 InferParameter{} parameters
    5 InferInputTensor[] inputs
    6 InferRequestedOutputTensor[] outputs
    7 bytes[] raw_input_contents
InferInputTensor
    1 string name
    2 string datatype
    3 int64[] shape
    4 InferParameter{} parameters
    5 InferTensorContents contents
InferRequestedOutputTensor
    1 string name
    2 InferParameter{} parameters
InferParameter
    1 bool bool_param | choice
    2 int64 int64_param | choice
    3 string string_param | choice
    4 double double_param | choice
    5 uint64 uint64_param | choice
InferTensorContents
    4 uint32[] uint_contents
    6 float[] fp32_contents
ModelInferResponse
    1 string model_name
    2 string model_version
    3 string id
    4 InferParameter{} parameters
    5 InferOutputTensor[] outputs
    6 bytes[] raw_output_contents
InferOutputTensor
    1 string name
    2 string datatype
    3 int64[] shape
    5 InferTensorContents contents
ModelConfigRequest
    1 string name
    2 string version
ModelConfigResponse
    1 ModelConfig config
ModelConfig
    1 string name
    2 string platform
    3 ModelVersionPolicy version_policy
    4 int32 max_batch_size
    5 ModelInput[] input
    6 ModelOutput[] output
    14 ModelParameter{} parameters
    17 string backend
ModelVersionPolicy
    1 LatestVersions latest
LatestVersions
    1 uint32 num_versions
ModelInput
    1 string name
    2 DataType data_type
    4 int64[] dims
ModelOutput
    1 string name
    2 DataType data_type
    3 int64[] dims
ModelParameter
    1 string string_value
ModelStatisticsRequest
    1 string name
    2 string version
ModelStatisticsResponse
    1 ModelStatistics[] model_stats
ModelStatistics
    1 string name
    2 string version
    3 uint64 last_inference
    4 uint64 inference_count
    5 uint64 execution_count
    6 InferStatistics inference_stats
InferStatistics
    1 StatisticDuration success
    2 StatisticDuration fail
    3 StatisticDuration queue
    4 StatisticDuration compute_input
    5 StatisticDuration compute_infer
    6 StatisticDuration compute_output
    7 StatisticDuration cache_hit
    8 StatisticDuration cache_miss
StatisticDuration
    1 uint64 count
    2 uint64 ns
RepositoryIndexRequest
    1 string repository_name
    2 bool ready
RepositoryIndexResponse
    1 ModelIndex[] models
ModelIndex
    1 string name
    2 string version
    3 string state
"""
"""A field is its number, its type ([]: repeated, {}: a map from text) and its name; after | the choice of which it is one."""
DATA_TYPES = {"TYPE_INVALID": 0, "TYPE_UINT8": 2, "TYPE_FP32": 11}


def read(name: str, data: bytes) -> Any:
    """The message of that name. Raises google.protobuf.message.DecodeError."""
    return _CLASSES[name].FromString(data)


def made(name: str, document: Mapping[str, Any]) -> Any:
    """The message of that name with the fields of a JSON document; those that gRPC does not have are left out."""
    return json_format.ParseDict(dict(document), _CLASSES[name](), ignore_unknown_fields=True)


def _file() -> FileDescriptorProto:
    # proto3: numbers that are repeated are packed
    file = FileDescriptorProto(name="ncs_cluster/open_inference.proto", package=PACKAGE, syntax="proto3")
    data_type = file.enum_type.add(name="DataType")
    for name, number in DATA_TYPES.items():
        data_type.value.add(name=name, number=number)
    message = DescriptorProto()
    for line in MESSAGES.strip().splitlines():
        if line.startswith(" "):
            _add_field(message, line)
        else:
            message = file.message_type.add(name=line)
    return file


def _add_field(message: DescriptorProto, line: str) -> None:
    place, _, choice = line.partition("|")
    number, kind, name = place.split()
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.endswith("{}"):
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _add_field(entry, "1 string key")
        _add_field(entry, f"2 {kind[:-2]} value")
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{message.name}.{entry.name}"
        field.label = FieldDescriptorProto.LABEL_REPEATED
        return
    if kind.endswith("[]"):
        kind, field.label = kind[:-2], FieldDescriptorProto.LABEL_REPEATED
    if kind[0].isupper():
        field.type_name = f".{PACKAGE}.{kind}"
        field.type = FieldDescriptorProto.TYPE_ENUM if kind == "DataType" else FieldDescriptorProto.TYPE_MESSAGE
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    if choice:
        if not message.oneof_decl:
            message.oneof_decl.add(name=choice.strip())
        field.oneof_index = 0


def _classes() -> dict[str, Any]:
    pool, file = descriptor_pool.DescriptorPool(), _file()
    pool.AddSerializedFile(file.SerializeToString())
    found = {each.name: pool.FindMessageTypeByName(f"{PACKAGE}.{each.name}") for each in file.message_type}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


_CLASSES = _classes()

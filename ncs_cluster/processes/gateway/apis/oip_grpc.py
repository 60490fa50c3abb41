"""Open Inference Protocol v2 over gRPC: the procedures of its service, with those of Triton that clients ask for.

Every request has been let in, and its message read, by grpc_port. An exception means a status there.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

import ncs_cluster
from ncs_cluster.processes.gateway.apis import grpc_messages, grpc_tensors, models
from ncs_cluster.processes.gateway.apis.asked import BadTensors
from ncs_cluster.processes.gateway.apis.asking import ANSWER_S
from ncs_cluster.processes.gateway.apis.bodies import FORM_BYTES
from ncs_cluster.processes.gateway.apis.inference import Models
from ncs_cluster.processes.intake import NO_STICK_RETRY_S, NoStick


class Call(NamedTuple):
    """One request. `began_s`: monotonic. `left_s`: how long its client waits; None: for ever."""

    data: bytes
    began_s: float
    left_s: float | None


Procedure = Callable[[Call], Awaitable[bytes]]


class Service:
    """The procedures by name."""

    def __init__(self, served: Models) -> None:
        self._models = served
        self.procedures: dict[str, Procedure] = {
            "ServerLive": self._plain("ServerLive", lambda asked: {"live": True}),
            "ServerReady": self._plain("ServerReady", lambda asked: {"ready": served.can_work()}),
            "ServerMetadata": self._plain("ServerMetadata", lambda asked: models.server(ncs_cluster.__version__)),
            "ModelReady": self._plain("ModelReady", lambda asked: {"ready": served.can_work(self._graph(asked))}),
            "ModelMetadata": self._plain("ModelMetadata", lambda asked: models.metadata(self._graph(asked))),
            "ModelConfig": self._plain("ModelConfig", lambda asked: {"config": models.configuration(self._graph(asked))}),
            "ModelStatistics": self._plain("ModelStatistics", self._statistics),
            "RepositoryIndex": self._plain("RepositoryIndex", lambda asked: {"models": served.index()}),
            "ModelInfer": self.infer,
        }

    def _plain(self, name: str, answer: Callable[[Any], dict[str, Any]]) -> Procedure:
        async def respond(call: Call) -> bytes:
            if len(call.data) > FORM_BYTES:
                raise BadTensors(f"the request is longer than {FORM_BYTES} bytes")
            document = answer(_read(f"{name}Request", call.data))
            response: bytes = grpc_messages.made(f"{name}Response", document).SerializeToString()
            return response

        return respond

    def _graph(self, asked: Any) -> Any:
        return self._models.named(asked.name, asked.version)

    def _statistics(self, asked: Any) -> dict[str, Any]:
        return self._models.statistics([self._graph(asked).name] if asked.name else self._models.names)

    async def infer(self, call: Call) -> bytes:
        # a message of many empty parts takes many times its size once it is read
        most = FORM_BYTES + grpc_tensors.VARINT_BYTES * 3 * self._models.most_pixels
        if len(call.data) > most:
            if not self._models.can_work():
                raise NoStick("no stick can take a picture now", NO_STICK_RETRY_S)
            size = f"the request has {len(call.data)} bytes, more than the {most} that the largest input needs"
            raise BadTensors(f"{size}: one picture, its colours UINT8")
        message = await self._models.in_thread(_read, "ModelInferRequest", call.data)
        graph = self._models.named(message.model_name, message.model_version)
        return await self._models.infer(
            graph,
            call.began_s,
            lambda width, height: grpc_tensors.read(message, width, height),
            lambda asked, answer: grpc_tensors.write(graph.name, asked, answer),
            timeout_s=ANSWER_S if call.left_s is None else max(0.0, call.left_s - (time.monotonic() - call.began_s)),
        )


def _read(name: str, data: bytes) -> Any:
    try:
        return grpc_messages.read(name, data)
    except DecodeError:
        raise BadTensors(f"the request is no {name} of the protocol") from None

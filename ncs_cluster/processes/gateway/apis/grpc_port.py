"""The port of --api-grpc: who is let in, how much is in memory at once, how long it may take, and which status an exception means.

gRPC's library reads a whole message before it calls a procedure, so each is registered as one of streams and asks for its one
message itself: after the token was checked, and a few at a time. On the wire there is no difference. The name of the host is not
looked at, as the page does against DNS rebinding: nothing in a browser can speak HTTP/2 without TLS.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any
from urllib.parse import unquote

import grpc
from starlette.exceptions import HTTPException

from ncs_cluster.processes.gateway.apis.app import Shared
from ncs_cluster.processes.gateway.apis.asked import BadTensors, UnknownModel
from ncs_cluster.processes.gateway.apis.asking import ANSWER_S, Refusal, counted, refusal
from ncs_cluster.processes.gateway.apis.grpc_messages import SERVICE
from ncs_cluster.processes.gateway.apis.oip_grpc import Call, Procedure, Service
from ncs_cluster.processes.gateway.apis.port import PortAuthenticator
from ncs_cluster.processes.gateway.server import GRACE_S, REQUEST_S, STALL_S, CannotListen
from ncs_cluster.processes.gateway.visitors import network
from ncs_cluster.processes.intake import NoStick, Overloaded, TimedOut

READ_AT_ONCE = 8
"""Messages of which a part is in memory: what they come to is not known before they are whole."""
READ_OF_ONE = 2
"""Messages of one connection of which a part is in memory."""
MOST_MESSAGE = 8 * 1024 * 1024
"""Bytes: the tensor of the largest picture there can be, 1920x1080, with room. The library holds a message three times for a
moment."""
MOST_CALLS = 256
MOST_CONNECTIONS = 64
OPTIONS = [
    # a second daemon on the port is refused, instead of getting half of the connections
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MOST_MESSAGE),
    # identity alone: what a compressed message comes to is known too late
    ("grpc.compression_enabled_algorithms_bitset", 1),
    # a window that grows lets a client fill the memory before its message is asked for
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 64 * 1024),
    ("grpc.max_concurrent_streams", 128),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.server_handshake_timeout_ms", int(REQUEST_S * 1000)),
    ("grpc.max_connection_idle_ms", 300_000),
    # a client that reads nothing of a response for STALL_S is disconnected (the library sets TCP_USER_TIMEOUT to it), and one that
    # answers no ping
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", int(STALL_S * 1000)),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
]

Status = grpc.StatusCode


class GrpcServer:
    """Serves the procedures inside the running event loop, as server.Server serves HTTP."""

    def __init__(self, shared: Shared, authenticator: PortAuthenticator, address: tuple[str, int]) -> None:
        """`address`: of this machine, in numbers."""
        self._procedures = Service(shared.models).procedures
        self._bodies, self._clients = shared.bodies, shared.clients
        self._authenticator, self._address = authenticator, address
        self._reading = asyncio.Semaphore(READ_AT_ONCE)
        self._readers: dict[str, tuple[asyncio.Semaphore, int]] = {}
        """By connection: its turns, and how many of its requests want one."""
        self._ending = asyncio.Event()
        self._server: Any = None

    @property
    def should_exit(self) -> bool:
        return self._ending.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self._ending.set()

    async def open(self) -> None:
        """Requests are answered from now on. Raises CannotListen."""
        host, port = self._address
        self._server = grpc.aio.server(handlers=[_Handlers(self)], options=OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
        try:
            self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except RuntimeError as error:
            raise CannotListen(f"--api-grpc {host}:{port}: {error}", permanent=False) from error
        await self._server.start()

    async def serve(self) -> None:
        """Serve until `should_exit`."""
        await self._ending.wait()
        await self._server.stop(GRACE_S)

    def handler(self, method: str) -> Any:
        """The handler of a path; None for one that is not served."""
        service, _, name = method.removeprefix("/").partition("/")
        procedure = self._procedures.get(name) if service == SERVICE else None
        if procedure is None:
            return None

        async def answer(_: Any, context: Any) -> None:
            await self._answer(procedure, name, context)

        return grpc.stream_stream_rpc_method_handler(answer)

    async def _answer(self, procedure: Procedure, name: str, context: Any) -> None:
        began_s = time.monotonic()
        try:
            self._let_in(context)
            async with asyncio.timeout(REQUEST_S), self._turn(context.peer()):
                data = await context.read()
            if not isinstance(data, bytes):
                raise BadTensors("the request has no message")
            with self._bodies.taken(len(data)), self._counted(name, context):
                response = await procedure(Call(data, began_s, context.time_remaining()))
            with self._bodies.taken(len(response)):
                # without a deadline: the library cannot end a call whose response is under way. It ends with its connection
                await context.write(response)
            return
        except TimeoutError:
            code, refused = Status.DEADLINE_EXCEEDED, Refusal(503, f"the request did not come within {REQUEST_S:.0f} s")
        except Exception as error:
            code, refused = status_of(error, time.monotonic() - began_s), refusal(error, name)
        # here, where nothing holds the message any more: its client may take its time to read why
        data = response = b""
        await context.abort(code, refused.why, _trailers(refused.headers))

    @asynccontextmanager
    async def _turn(self, peer: str) -> AsyncGenerator[None]:
        """May read a message until the block is left. One connection whose messages do not come cannot keep the others from it."""
        turns, wanted = self._readers.get(peer) or (asyncio.Semaphore(READ_OF_ONE), 0)
        self._readers[peer] = turns, wanted + 1
        try:
            async with turns, self._reading:
                yield
        finally:
            wanted = self._readers[peer][1] - 1
            if wanted:
                self._readers[peer] = turns, wanted
            else:
                del self._readers[peer]

    def _counted(self, name: str, context: Any) -> AbstractContextManager[None]:
        if name != "ModelInfer":
            return nullcontext()
        return counted(self._clients, network(address_of(context.peer())), "grpc")

    def _let_in(self, context: Any) -> None:
        """Raises HTTPException 401 and 429."""
        address = address_of(context.peer())
        if not self._authenticator.needs_token_from(address):
            return
        given = next((str(value) for key, value in context.invocation_metadata() if key == "authorization"), "")
        scheme, _, token = given.strip().partition(" ")
        tokens = self._authenticator.tokens
        if (
            scheme.lower() != "bearer"
            or self._authenticator.try_token_of(network(address), token.strip(), tokens.opens_page) is None
        ):
            raise HTTPException(401, "a token is required: send the metadata authorization: Bearer TOKEN")


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """What the library asks for the handler of each request."""

    def __init__(self, server: GrpcServer) -> None:
        self._server = server

    def service(self, handler_call_details: Any) -> Any:
        return self._server.handler(handler_call_details.method)


def status_of(error: Exception, took_s: float) -> Any:
    """`took_s`: how long the request has taken so far."""
    if isinstance(error, BadTensors):
        return Status.INVALID_ARGUMENT
    if isinstance(error, UnknownModel):
        return Status.NOT_FOUND
    if isinstance(error, NoStick):
        return Status.UNAVAILABLE
    if isinstance(error, Overloaded):
        return Status.RESOURCE_EXHAUSTED
    if isinstance(error, TimedOut):
        # the server's own limit is no deadline of the client, which may try again
        return Status.UNAVAILABLE if took_s >= ANSWER_S else Status.DEADLINE_EXCEEDED
    if isinstance(error, HTTPException):
        return {401: Status.UNAUTHENTICATED, 429: Status.RESOURCE_EXHAUSTED}.get(error.status_code, Status.INTERNAL)
    return Status.INTERNAL


def _trailers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """When to ask again, as REST says it and as clients of gRPC that try again by themselves read it."""
    after = headers.get("Retry-After")
    return () if after is None else (("retry-after", after), ("grpc-retry-pushback-ms", str(int(after) * 1000)))


def address_of(peer: str) -> str:
    """The address in what the library calls a peer: "ipv4:192.168.1.7:50000", "ipv6:%5B::1%5D:50000". "" for another one."""
    kind, _, place = unquote(peer).partition(":")
    return place.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""

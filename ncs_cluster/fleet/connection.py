"""A connection to a NATS server by nats-py, with bounds on what the server may send and on how long it may take. Used in one event
loop. It does not connect again by itself: addresses of other servers, which a server may name, get no password.

Runs on CPython 3.9.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Dict, NamedTuple, Optional

from ncs_cluster.errors import ConfigError, NcsClusterError, one_line
from ncs_cluster.fleet.address import Address
from ncs_cluster.fleet.login import Key, as_file
from ncs_cluster.plugins import reason

ANSWER_S = 5.0
"""Longest wait for the connection, and for each answer."""
CLOSE_S = 1.0
MOST_MESSAGE, MOST_LINE = 1 << 20, 1 << 16
"""Bytes of a message, and of a line of the protocol, that are kept until the whole is there."""
MOST_WAITING, MOST_WAITING_BYTES = 1024, 64 << 20
"""Messages of one subscription that wait to be read."""
LONGEST_REASON = 200
REFUSED, KEY_REFUSED = "it does not accept the user and password", "it does not accept the key"


class Unusable(NcsClusterError):
    """The server cannot be used at present; the message is one line."""


def is_forbidden(error: Unusable) -> bool:
    """The server does not let this user do what was asked for; the connection goes on."""
    return str(error).lower().startswith("permissions violation")


class NoAnswer(Unusable):
    """Nobody has answered a request in time."""


@dataclass(frozen=True)
class Server:
    """How a server is reached. Password and key appear in no text."""

    address: Address
    user: Optional[str] = None
    password: Optional[str] = field(default=None, repr=False)
    ca_file: Optional[str] = None
    key: Optional[Key] = None
    """Instead of user and password."""


class Answer(NamedTuple):
    headers: Dict[str, str]
    payload: bytes
    reply: str = ""
    """The subject that an answer to it, or its acknowledgement, goes to; empty: nobody waits for one."""
    subject: str = ""


def library() -> Any:
    """nats-py's module. Raises ConfigError, one line, where it is missing."""
    try:
        import nats.aio.client as client
    except ImportError as error:
        raise ConfigError(f"--nats needs nats-py 2.12 or newer ({reason(error)}): pip install 'ncs-cluster[fleet]'") from error
    return client


@contextlib.asynccontextmanager
async def connected(server: Server, name: str) -> AsyncIterator[Connection]:
    """`name`: for the server's own lists of clients. Raises ConfigError, Unusable."""
    made = Connection(server, name)
    try:
        await made.open()
        yield made
    finally:
        await made.close()


class Connection:
    """See `connected`."""

    def __init__(self, server: Server, name: str) -> None:
        self._server, self._name = server, name
        self._client: Any = bounded(library().Client, server.address.tls)()
        self._complaint: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        asyncio.get_running_loop().set_exception_handler(without_left_tasks)
        address = self._server.address
        given = _login(self._server)
        try:
            if address.tls:
                given["tls"] = ssl.create_default_context(cafile=self._server.ca_file)
            work = self._client.connect(
                servers=[str(address)],
                name=self._name,
                error_cb=self._on_error,
                closed_cb=self._on_closed,
                allow_reconnect=False,
                connect_timeout=ANSWER_S,
                ping_interval=ANSWER_S,
                **given,
            )
            await self._unless_told(work)
        except Unusable:
            raise
        except Exception as error:
            why = told(error)
            raise Unusable(KEY_REFUSED if why == REFUSED and self._server.key is not None else why) from error

    async def ask(
        self, subject: str, payload: bytes, headers: Optional[Dict[str, str]] = None, *, longest_s: float = ANSWER_S
    ) -> Optional[Answer]:
        """The answer to a request; None: nobody serves the subject. `longest_s`: how long it is waited for, at most ANSWER_S.
        Raises Unusable; NoAnswer where there is none in that time."""
        from nats.errors import NoRespondersError
        from nats.errors import TimeoutError as TimedOut

        try:
            got = await self._unless_told(self._client.request(subject, payload, timeout=longest_s, headers=headers))
        except NoRespondersError:
            return None
        except TimedOut as error:
            raise NoAnswer(told(error)) from error
        except Unusable:
            raise
        except Exception as error:
            raise Unusable(told(error)) from error
        return _answer(got)

    async def tell(self, subject: str, payload: bytes, headers: Optional[Dict[str, str]] = None, reply: str = "") -> None:
        """Publish without waiting for an answer: it may be lost. Raises Unusable."""
        try:
            await self._unless_told(self._client.publish(subject, payload, reply=reply, headers=headers))
        except Unusable:
            raise
        except Exception as error:
            raise Unusable(told(error)) from error

    async def hear(self, subject: str, queue: str = "", most: int = MOST_WAITING) -> Heard:
        """Subscribe; of several subscribers with one `queue` each message goes to one. `most`: messages that wait to be read, later
        ones are dropped. Raises Unusable."""
        try:
            limits = {"pending_msgs_limit": most, "pending_bytes_limit": MOST_WAITING_BYTES}
            return Heard(await self._unless_told(self._client.subscribe(subject, queue=queue, **limits)))
        except Unusable:
            raise
        except Exception as error:
            raise Unusable(told(error)) from error

    @property
    def closed(self) -> bool:
        return bool(self._client.is_closed)

    async def close(self) -> None:
        transport = getattr(getattr(getattr(self._client, "_transport", None), "_io_writer", None), "transport", None)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.close(), CLOSE_S)
        if transport is not None:
            # a server that does not read would hold what is not sent
            transport.abort()
        self._complaint.cancel()

    async def _unless_told(self, work: Any) -> Any:
        """The result of `work`; raises what the server complains of meanwhile, for which nats-py would go on waiting."""
        if self._complaint.done():
            self._complaint = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task, self._complaint}, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                return task.result()
            if self._complaint in done:
                raise self._complaint.result()
            raise Unusable("it does not answer")
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CLOSE_S)
            if task.done() and not task.cancelled():
                task.exception()

    async def _on_closed(self) -> None:
        # nats-py lets requests wait that can have no answer any more
        await self._on_error(Unusable("the connection was lost"))

    async def _on_error(self, error: Exception) -> None:
        from nats.errors import SlowConsumerError

        # a message that was dropped because too many wait is no fault of the server
        if not self._complaint.done() and not isinstance(error, SlowConsumerError):
            self._complaint.set_result(error)


class Heard:
    """The messages of one subscription."""

    def __init__(self, subscription: Any) -> None:
        self._subscription = subscription

    async def next(self, longest_s: float) -> Optional[Answer]:
        """The next message, waited for at most so long; None: there was none. Raises Unusable."""
        from nats.errors import Error

        try:
            return _answer(await self._subscription.next_msg(timeout=longest_s))
        except (asyncio.TimeoutError, TimeoutError):
            return None
        except Error as error:
            raise Unusable(told(error)) from error

    async def close(self) -> None:
        """Unsubscribe."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._subscription.unsubscribe(), CLOSE_S)


def without_left_tasks(loop: asyncio.AbstractEventLoop, context: Dict[str, Any]) -> None:
    """An event loop's exception handler: nats-py leaves tasks of a connection that is lost behind, of which asyncio would print
    tracebacks. Why it was lost is told by the connection."""
    task = context.get("task") or context.get("future")
    code = getattr(task.get_coro(), "cr_code", None) if isinstance(task, asyncio.Task) else None
    if code is None or f"{os.sep}nats{os.sep}" not in code.co_filename:
        loop.default_exception_handler(context)


def _answer(got: Any) -> Answer:
    return Answer(dict(got.headers or {}), bytes(got.data), str(got.reply or ""), str(got.subject))


def _login(server: Server) -> Dict[str, Any]:
    """Arguments of nats-py's `connect`. Raises ConfigError where its library of keys is missing."""
    key = server.key
    if key is None:
        return {"user": server.user, "password": server.password}
    try:
        import nkeys  # noqa: F401
        from nats.aio.client import RawCredentials
    except ImportError as error:
        raise ConfigError(f"nkeys and credentials files need nkeys ({reason(error)}): pip install 'ncs-cluster[fleet]'") from error
    return {"nkeys_seed_str": key.seed} if key.jwt is None else {"user_credentials": RawCredentials(as_file(key))}


def bounded(client: Any, tls: bool) -> Any:
    """A subclass of nats-py's `Client`. nats-py keeps a message until the whole of it is there, however long it is said to be, and
    sends the password unencrypted to a server that does not ask for TLS."""
    from nats.errors import ProtocolError
    from nats.protocol.parser import AWAITING_MSG_PAYLOAD, Parser

    class BoundedParser(Parser):  # type: ignore[misc]
        async def parse(self, data: bytes = b"") -> None:
            await super().parse(data)
            waiting = self.state == AWAITING_MSG_PAYLOAD
            if (waiting and self.needed > MOST_MESSAGE) or (not waiting and len(self.buf) > MOST_LINE):
                self.reset()
                raise ProtocolError

    class Bounded(client):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._ps = BoundedParser(self)

        async def _process_info(self, info: Any, initial_connection: bool = False) -> None:
            if initial_connection:
                if not isinstance(info, dict):
                    raise Unusable("it does not speak the protocol of NATS")
                # the servers of its cluster are none of ours
                info.pop("connect_urls", None)
                if tls and info.get("tls_available") is True:
                    info["tls_required"] = True
                if tls and info.get("tls_required") is not True:
                    raise Unusable("it does not offer TLS")
                await super()._process_info(info, initial_connection)

    return Bounded


def told(error: BaseException) -> str:
    """Why a connection failed, one line."""
    import nats.errors

    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {one_line(error.verify_message)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails: {one_line(error.reason or str(error))}"
    if isinstance(error, (asyncio.TimeoutError, TimeoutError, nats.errors.TimeoutError)):
        return "it does not answer"
    if isinstance(error, (nats.errors.UnexpectedEOF, nats.errors.ConnectionClosedError, ConnectionResetError)):
        return "the connection was lost"
    if isinstance(error, OSError):
        # asyncio puts words of its own into strerror
        return os.strerror(error.errno) if error.errno else one_line(str(error))[:LONGEST_REASON]
    if isinstance(error, nats.errors.ProtocolError) or "expecting INFO" in str(error) or not isinstance(error, nats.errors.Error):
        # nats-py takes what it reads for what it should be: any exception may come of it
        return "it does not speak the protocol of NATS"
    text = one_line(str(error))[:LONGEST_REASON]
    if "authorization violation" in text.lower():
        return REFUSED
    return text.replace("nats: ", "", 1).strip("' ") or type(error).__name__

"""One request to an API: its inference, while its client is there, and what an exception means in HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from ncs_cluster.errors import one_line
from ncs_cluster.processes.gateway.apis.asked import BadTensors, UnknownModel
from ncs_cluster.processes.gateway.apis.clients import Clients
from ncs_cluster.processes.intake import NO_STICK_RETRY_S, Intake, NoStick, Overloaded, TimedOut, Unanswered

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_S = 10.0
"""A picture that has no answer by then has none."""


class Refusal(NamedTuple):
    """The status, the reason in one line, and headers."""

    code: int
    why: str
    headers: dict[str, str] = {}


def check_sticks(intake: Intake) -> None:
    """Raise NoStick while no stick can work, before a picture is decoded for nothing."""
    if intake.served is None or not intake.served.sticks:
        raise NoStick("no stick can take a picture now", intake.retry_after_s or NO_STICK_RETRY_S)


@contextmanager
def counted(clients: Clients, visitor: str, api: str) -> Iterator[None]:
    """Count a request of `visitor`, who may ask, by how the block ends."""
    figures = clients.heard(visitor, api, time.monotonic())
    figures.asked += 1
    figures.open += 1
    try:
        yield
    except BaseException as error:
        figures.shed += isinstance(error, Overloaded)
        gone = isinstance(error, (ClientDisconnect, asyncio.CancelledError))
        figures.late += gone or isinstance(error, TimedOut)
        said = error.detail if isinstance(error, HTTPException) else str(error)
        figures.detail = "the client left before it" if gone else one_line(said)
        raise
    else:
        figures.answered += 1
    finally:
        figures.open -= 1


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client leaves: what nobody waits for takes no stick's time. The request's
    body has been read. Raises ClientDisconnect."""
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        left.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def refusal(error: Exception, path: str) -> Refusal:
    """What an exception means, also one that nobody expects. Raises ClientDisconnect again: nobody reads a response."""
    if isinstance(error, ClientDisconnect):
        raise error
    if isinstance(error, HTTPException):
        return Refusal(error.status_code, error.detail, dict(error.headers or {}))
    if isinstance(error, Overloaded):
        return Refusal(503, str(error), {"Retry-After": str(error.retry_after_s)})
    if isinstance(error, TimedOut):
        return Refusal(503, str(error), {"Retry-After": "1"})
    if isinstance(error, BadTensors):
        return Refusal(400, str(error))
    if isinstance(error, UnknownModel):
        return Refusal(404, str(error))
    if isinstance(error, Unanswered):
        return Refusal(500, str(error))
    log.error("a request to %s failed", path, exc_info=error)
    return Refusal(500, "the request failed: see the log of ncs-clusterd")

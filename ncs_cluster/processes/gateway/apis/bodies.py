"""Bodies of requests, bounded each and together: strangers send pictures, and the machine may be small."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ncs_cluster.processes.intake import Overloaded

MOST_BYTES = 16 * 1024 * 1024
"""Bytes of one picture or of the tensors of one request."""
FORM_BYTES = 64 * 1024
"""Bytes that a form or a JSON header may add to those."""
MOST_TOGETHER = 4 * MOST_BYTES
"""Bytes of all bodies that are in memory at once."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Of requests whose refusal has the form of an API's other answers."""
CROWDED = "too many large requests at once: ask again"
_CLOSE = {"Connection": "close"}
"""What was not read of a body would be taken for the next request."""


class Bodies:
    """The bodies that are in memory."""

    def __init__(self, most: int = MOST_BYTES + FORM_BYTES, most_together: int = MOST_TOGETHER) -> None:
        self._most, self._left = most, most_together

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncGenerator[bytes]:
        """The body of a request; it counts until the block is left. Raises HTTPException 413 and 503, and ClientDisconnect."""
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > self._most:
            raise self._too_long()
        chunks, taken = [], 0
        try:
            async for chunk in request.stream():
                if taken + len(chunk) > self._most:
                    raise self._too_long()
                if len(chunk) > self._left:
                    raise HTTPException(503, CROWDED, {"Retry-After": "1", **_CLOSE})
                taken += len(chunk)
                self._left -= len(chunk)
                chunks.append(chunk)
            body = b"".join(chunks)
            chunks.clear()
            yield body
        finally:
            self._left += taken

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Count so many bytes, which are in memory, until the block is left. Raises Overloaded."""
        if size > self._left:
            raise Overloaded(CROWDED, 1)
        self._left -= size
        try:
            yield
        finally:
            self._left += size

    def _too_long(self) -> HTTPException:
        return HTTPException(413, f"the request is longer than {self._most} bytes", _CLOSE)

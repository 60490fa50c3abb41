"""GET /api/history?seconds=N: figures, warnings and errors of the last N seconds, read from the history by a thread of its own."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ncs_cluster.history import reading
from ncs_cluster.history.reading import NoHistory
from ncs_cluster.history.store import HistoryError

LONGEST_S = 3650 * 86400
POINTS = 300
EVENTS = 50
"""The newest warnings and errors."""
KEPT_S = 20.0
"""Seconds for which an answer is reused: a new point comes once a minute."""
MOST_KEPT = 8
MOST_WAITING = 16
"""Most requests that wait for the disk."""


class Past:
    """The route. `folder`: the daemon's state directory; None: the daemon keeps no history."""

    def __init__(self, folder: str | None) -> None:
        self._folder = None if folder is None else Path(folder)
        self._thread = ThreadPoolExecutor(1, "history")
        self._kept: dict[int, tuple[float, bytes]] = {}
        self._waiting = 0

    def routes(self) -> list[Route]:
        return [Route("/api/history", self.history)]

    async def history(self, request: Request) -> Response:
        text = request.query_params.get("seconds", "86400")
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and 60 <= int(text) <= LONGEST_S):
            return JSONResponse({"error": f"`seconds` must be a whole number from 60 to {LONGEST_S}"}, 400)
        if self._folder is None:
            return _nothing("the daemon keeps no history (history_days = 0)")
        seconds = int(text)
        if (known := self._kept.get(seconds)) is not None and time.monotonic() - known[0] < KEPT_S:
            return Response(known[1], media_type="application/json")
        if self._waiting >= MOST_WAITING:
            return JSONResponse({"error": "the disk is slow: ask again later"}, 503, {"Retry-After": "10"})
        self._waiting += 1
        try:
            body = await asyncio.get_running_loop().run_in_executor(self._thread, self._read, self._folder, seconds)
        except NoHistory:
            return _nothing("nothing is recorded yet; the first figures come a minute after the daemon's start")
        except HistoryError as error:
            return JSONResponse({"error": str(error)}, 503)
        finally:
            self._waiting -= 1
        return Response(body, media_type="application/json")

    def _read(self, folder: Path, seconds: int) -> bytes:
        now_s = time.monotonic()
        if (known := self._kept.get(seconds)) is not None and now_s - known[0] < KEPT_S:
            # an earlier request in the queue has read the same answer
            return known[1]
        until = time.time()
        found = reading.document(reading.past(folder, until - seconds, until, POINTS))
        found["events"] = reading.events(folder, until - seconds, until, EVENTS, wrong=True)
        body = msgspec.json.encode(found)
        if len(self._kept) >= MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[seconds] = (now_s, body)
        return body


def _nothing(why: str) -> Response:
    """Not an error: the page asks before the first figures are written."""
    return JSONResponse({"series": [], "events": [], "why": why})

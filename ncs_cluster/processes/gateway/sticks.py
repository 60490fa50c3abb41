"""POST /api/stick: what the page asks of one stick. auth.py has checked the request before, as for every command."""

from __future__ import annotations

from typing import Literal, Optional, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ncs_cluster.client import Refused
from ncs_cluster.errors import NotRunning
from ncs_cluster.processes.gateway.bodies import json_object, refusal
from ncs_cluster.processes.gateway.daemon import DaemonCache

Verb = Literal["park", "work", "restart", "forget", "rest"]
VERBS = get_args(Verb)[:-1]
"""`rest` is the earlier name of `park`."""


class StickRequest(msgspec.Struct, frozen=True):
    """The body. `stick`: its id, or the name of its port; `why`: why it is parked, for people."""

    stick: str
    verb: Verb
    why: Optional[str] = None


def routes(daemon: DaemonCache) -> list[Route]:
    async def change(request: Request) -> Response:
        body = await json_object(request)
        try:
            asked = msgspec.convert(body, StickRequest)
        except msgspec.ValidationError:
            return refusal(400, f'send {{"stick": an id, "verb": {" | ".join(VERBS)}, "why": text or null}}')
        try:
            return JSONResponse({"text": await daemon.change_stick(asked.stick, asked.verb, asked.why)})
        except Refused as error:
            return refusal(409, str(error))
        except NotRunning as error:
            return refusal(503, str(error))

    return [Route("/api/stick", change, methods=["POST"])]

"""GET /api/config: the settings in effect, each with its value and what has set it. The daemon replaces passwords."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ncs_cluster.client import Refused
from ncs_cluster.errors import NotRunning
from ncs_cluster.processes.gateway.bodies import refusal
from ncs_cluster.processes.gateway.daemon import DaemonCache


def routes(daemon: DaemonCache) -> list[Route]:
    async def config(request: Request) -> Response:
        try:
            found = await daemon.settings()
        except Refused as error:
            return refusal(409, str(error))
        except NotRunning as error:
            return refusal(503, str(error))
        return Response(msgspec.json.encode(found), media_type="application/json", headers={"Cache-Control": "no-store"})

    return [Route("/api/config", config)]

"""Bodies of requests and answers of the page's own routes: JSON objects."""

from __future__ import annotations

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


async def json_object(request: Request) -> dict[str, object]:
    """The JSON object in the request's body; {} for an empty body. Raises HTTPException 400 when it is no JSON object."""
    try:
        # unlike the standard library's, this decoder refuses half a surrogate pair
        sent = msgspec.json.decode(await request.body() or b"{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise HTTPException(400, "the body is not JSON") from error
    if not isinstance(sent, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return sent


def refusal(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)

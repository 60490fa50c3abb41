"""Bodies of requests: each is bounded, and all of them together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from ncs_cluster.processes.gateway.apis.bodies import Bodies


def request(*chunks: bytes, declared: str | None = None, leaves: bool = False) -> Request:
    """A request whose body comes in these chunks; `leaves`: and whose client is gone then."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if leaves else {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    headers = [] if declared is None else [(b"content-length", declared.encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


async def read(bodies: Bodies, asked: Request) -> bytes:
    async with bodies.read(asked) as body:
        return body


def test_a_body_is_its_chunks_in_order() -> None:
    assert asyncio.run(read(Bodies(10, 20), request(b"ab", b"", b"cd"))) == b"abcd"


@pytest.mark.parametrize(("chunks", "declared"), [((b"x" * 6, b"x" * 5), None), ((), "11"), ((), "x"), ((b"x" * 11,), "3")])
def test_a_long_body_is_refused_by_what_it_declares_and_by_what_it_is(chunks: tuple[bytes, ...], declared: str | None) -> None:
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read(Bodies(10, 20), request(*chunks, declared=declared)))
    assert refused.value.status_code == 413


def test_bodies_that_are_too_large_together_wait_outside() -> None:
    async def story() -> None:
        bodies = Bodies(10, 20)
        async with AsyncExitStack() as held:
            for _ in range(2):
                await held.enter_async_context(bodies.read(request(b"x" * 10)))
            with pytest.raises(HTTPException) as refused:
                await read(bodies, request(b"y"))
            assert (refused.value.status_code, (refused.value.headers or {})["Retry-After"]) == (503, "1")
        assert await read(bodies, request(b"y" * 10)) == b"y" * 10

    asyncio.run(story())


@given(st.lists(st.tuples(st.lists(st.integers(0, 12), max_size=4), st.booleans()), max_size=12))
def test_whatever_becomes_of_requests_all_room_is_free_again(given_requests: list[tuple[list[int], bool]]) -> None:
    async def story() -> None:
        bodies = Bodies(10, 20)
        for sizes, leaves in given_requests:
            try:
                await read(bodies, request(*(b"x" * size for size in sizes), leaves=leaves))
            except (HTTPException, ClientDisconnect):
                pass
        async with bodies.read(request(b"x" * 10)), bodies.read(request(b"x" * 10)):
            pass

    asyncio.run(story())

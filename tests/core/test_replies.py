"""Replies to clients: exactly one message each."""

from __future__ import annotations

import msgspec

from ncs_cluster import messages as m
from ncs_cluster.control_messages import Done
from ncs_cluster.core.actions import Send
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.replies import answer, refuse

CLIENT = Endpoint("client", "1")


def test_an_answer_carries_its_body_as_a_map_and_no_error() -> None:
    action = answer(CLIENT, {"text": "done", "number": 3})
    assert isinstance(action, Send)
    assert (action.to, action.message.error) == (CLIENT, None)
    assert msgspec.msgpack.decode(action.message.body) == {"text": "done", "number": 3}


def test_an_answer_may_be_a_struct() -> None:
    body = msgspec.Raw(msgspec.msgpack.encode({"text": "switched"}))
    assert answer(CLIENT, Done("switched")) == Send(CLIENT, m.Reply(error=None, body=body))


def test_a_refusal_carries_its_reason_and_no_body() -> None:
    assert refuse(CLIENT, "no") == Send(CLIENT, m.Reply(error="no", body=msgspec.Raw(b"\xc0")))

"""Replies to clients of the control socket."""

from __future__ import annotations

from typing import Any

import msgspec

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, Send
from ncs_cluster.core.events import Endpoint


def answer(endpoint: Endpoint, body: Any) -> Action:
    """A request was carried out."""
    return Send(endpoint, m.Reply(body=msgspec.Raw(msgspec.msgpack.encode(body))))


def refuse(endpoint: Endpoint, reason: str, code: str | None = None) -> Action:
    """A request was refused; `reason` is one line. `code`: as control_messages.Reply.code."""
    return Send(endpoint, m.Reply(error=reason, code=code))

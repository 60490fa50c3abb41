"""Grants wait until the sticks have their frames.

A process that is woken by a message may take the supervisor's processor at once. So a camera that may write its next frame would
keep a stick waiting for the frame that is there. Messages to one process stay in order.
"""

from __future__ import annotations

from collections.abc import Callable

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a


class LateGrants:
    """The grants of one turn of the supervisor's loop."""

    def __init__(self, send: Callable[[a.Send], None]) -> None:
        self._send = send
        self._waiting: list[a.Send] = []

    def takes(self, action: a.Action) -> bool:
        """Call it with each action in turn. True: a grant, which is sent later; else the action is to be performed now."""
        if isinstance(action, a.Send):
            if isinstance(action.message, m.Grant):
                self._waiting.append(action)
                return True
            if all(action.to != grant.to for grant in self._waiting):
                return False
        # a message to the same process, or an action that may end one
        self.send()
        return False

    def send(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        for grant in waiting:
            self._send(grant)

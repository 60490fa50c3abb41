"""What the broker is still to get. Each topic has one place, so a broker that is slow or away costs no memory: it gets the newest
value when it takes messages again. Pure: time is an argument. Runs on CPython 3.9.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional


class Message(NamedTuple):
    """One message of the broker, always retained."""

    topic: str
    payload: bytes
    """Empty: the broker forgets the topic."""


class _Topic:
    def __init__(self, payload: bytes, every_s: float) -> None:
        self.payload, self.every_s = payload, every_s
        self.sent: Optional[bytes] = None
        """What the broker has; None: nothing of this connection."""
        self.sent_s = float("-inf")

    def due_s(self) -> float:
        """When the payload, which the broker does not have, is to be sent."""
        return float("-inf") if self.sent is None else self.sent_s + self.every_s


class Outgoing:
    """The newest value of each topic, and what of it the broker has."""

    def __init__(self) -> None:
        self._topics: Dict[str, _Topic] = {}
        self._waiting: Dict[str, _Topic] = {}
        """Topics of which the broker has not got the newest value, in the order in which they came up. A record is written hundreds
        of times a second: nothing looks at every topic for it."""

    def __contains__(self, topic: object) -> bool:
        return topic in self._topics

    def put(self, topic: str, payload: bytes, *, every_s: float = 0.0) -> None:
        """Set a topic's value. `every_s`: least time between two of its values."""
        found = self._topics.get(topic)
        if found is None:
            found = self._topics[topic] = _Topic(payload, every_s)
        found.payload, found.every_s = payload, every_s
        if found.payload == found.sent:
            self._waiting.pop(topic, None)
        else:
            self._waiting[topic] = found

    def refresh(self, topic: str, before_s: float) -> None:
        """The value is still true, and its reader lets values expire: send it again where it was sent before `before_s`."""
        found = self._topics[topic]
        if found.sent_s < before_s:
            found.sent = None
            self._waiting[topic] = found

    def forget(self, topic: str) -> None:
        """The broker shall forget the topic, which has no value any more."""
        self.put(topic, b"")

    def resend(self) -> None:
        """The broker, or its reader, has lost what it got: everything again."""
        for topic in self._topics.values():
            topic.sent = None
        self._waiting = dict(self._topics)

    def due(self, now_s: float) -> List[Message]:
        """What is to be sent now, states before numbers. A message counts as sent when `sent` is called with it."""
        ready = [(name, each) for name, each in self._waiting.items() if each.due_s() <= now_s]
        # stable: topics keep the order in which they came up
        ready.sort(key=lambda item: item[1].every_s > 0)
        return [Message(name, each.payload) for name, each in ready]

    def sent(self, message: Message, now_s: float) -> None:
        topic = self._topics[message.topic]
        topic.sent, topic.sent_s = message.payload, now_s
        if topic.payload == message.payload:
            self._waiting.pop(message.topic, None)
            if not message.payload:
                del self._topics[message.topic]

    def next_s(self) -> float:
        """When something is due."""
        return min((each.due_s() for each in self._waiting.values()), default=float("inf"))

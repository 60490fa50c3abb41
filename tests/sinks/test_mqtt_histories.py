"""Any history of status, records and lost connections: at its end the broker holds what a new daemon would tell."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.sinks.onehome import ABOUT, HOLD_S, components, home, seen
from tests.sinks.onestatus import camera, status, stick

steps = st.one_of(
    st.tuples(st.just("status"), st.sets(st.sampled_from(["s1", "s2", "s3"])), st.sets(st.sampled_from(["door", "yard"]))),
    st.tuples(st.just("record"), st.sampled_from(["door", "yard"]), st.lists(st.sampled_from(["person", "dog"]), max_size=3)),
    st.tuples(st.sampled_from(["lost", "connected", "home"])),
    st.tuples(st.just("partly"), st.integers(0, 5)),
)


@given(st.lists(st.tuples(st.floats(0.0, 30.0), steps), max_size=40), st.integers(0, 99))
def test_after_any_history_a_broker_that_gets_everything_holds_what_a_new_daemon_would_tell(
    history: list[tuple[float, tuple[Any, ...]]], fps: int
) -> None:
    labels = {"door": ["person", "dog"], "yard": ["person"]}
    door = home(labels=labels)
    broker: dict[str, bytes] = {}
    number_s: dict[str, float] = {}
    now_s, online = 0.0, True

    def take(most: int = 10**6) -> None:
        for message in door.due(now_s)[:most]:
            assert online
            if message.payload:
                broker[message.topic] = message.payload
            else:
                broker.pop(message.topic, None)
            number_s[message.topic] = now_s
            door.sent(message, now_s)

    last = status([stick("s1", fps=fps)], [camera("door")])
    for pause_s, (what, *given_) in history:
        now_s += pause_s
        door.tick(now_s)
        if what == "status":
            last = status([stick(name, fps=fps) for name in sorted(given_[0])], [camera(name) for name in sorted(given_[1])])
            door.status(last, now_s)
        elif what == "record":
            door.record(seen(*given_[1], camera=given_[0]), now_s)
        elif what == "lost":
            door.disconnected()
            online = False
        elif what == "connected":
            broker.clear()
            door.connected()
            online = True
        elif what == "home":
            door.home_online(now_s)
        else:
            take(given_[0])
    if not online:
        broker.clear()
        door.connected()
        online = True
    for _ in range(2):
        now_s += HOLD_S + 1.0
        door.tick(now_s)
        door.status(last, now_s)
        take()
    fresh = home(labels=labels)
    fresh.status(last, now_s)
    wanted = {message.topic: message.payload for message in fresh.due(now_s)}
    config, wanted_config = components(broker.pop(ABOUT.config)), components(wanted.pop(ABOUT.config))
    assert broker == wanted
    assert {key: part for key, part in config.items() if len(part) > 1} == wanted_config
    now_s += 1.0
    door.status(last, now_s)
    assert door.due(now_s) == [], "nothing changes any more"

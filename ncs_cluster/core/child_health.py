"""What status says of a child: whether something is wrong with it now, and how long ago it was."""

from __future__ import annotations

from ncs_cluster.core.child import Child, State

SILENT_S = 1.75
"""A running child that has sent nothing for so long is reported (heartbeats come each second), and killed after Limits.silent_s."""
SLOW_START_S = 2.0
"""A child that has not failed may take so long to start before that is reported."""
STEPS = {"compiling": "loading its graphs"}
"""Words for the phases of a child that its state does not name."""
RECOVERED_S = 300.0
"""`last_error` stays in the status for this time after the child works again."""


def complaint(child: Child, now_s: float) -> str | None:
    """What is wrong with the child now, for the operator. None for a child that works, and for one that is not supposed to run."""
    if not child.wanted or child.state is State.STOPPING:
        return None
    if child.running:
        return f"no heartbeat for {now_s - child.heard_s:.0f} s" if silent(child, now_s) else None
    if child.last_error is not None and child.recovered_s is None:
        return child.last_error
    if now_s - child.spawned_s <= SLOW_START_S:
        return None
    return f"is {STEPS.get(child.step, child.state.value) if child.state is State.OPENING else child.state.value}"


def silent(child: Child, now_s: float) -> bool:
    """The child runs and has sent no message for SILENT_S."""
    return child.running and now_s - child.heard_s > SILENT_S


def shown_state(child: Child, now_s: float) -> str:
    """Its state in the list of processes."""
    return "silent" if silent(child, now_s) else child.state.value


def last_error(child: Child, now_s: float) -> tuple[str | None, float | None]:
    """The child's newest error, and the seconds for which it has worked since. (None, None) after RECOVERED_S."""
    if child.recovered_s is None:
        return child.last_error, None
    ago_s = now_s - child.recovered_s
    return (child.last_error, round(ago_s, 1)) if ago_s < RECOVERED_S else (None, None)

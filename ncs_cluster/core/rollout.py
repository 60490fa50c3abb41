"""New graphs reach the sticks one stick at a time, so that the others serve meanwhile: a worker loads its graphs when it starts.

Only a stick restarts whose worker lacks a wanted graph, or has it with another model; sticks that do not work come first. The next
one follows when the one before works again, or fails for a reason of its own; with guests that no stick has yet, only when it works
or they are dropped. A stick that refuses the graphs ends that: the others keep what they have until the settings change, or until
it takes them after all.
"""

from __future__ import annotations

from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.child import State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.loaded_graphs import has_all
from ncs_cluster.core.stick import Stick
from ncs_cluster.core.sticks import Sticks

ON_ITS_WAY = frozenset({State.STARTING, State.OPENING, State.STOPPING, State.KILLED})


class Rollout:
    """Decides which stick restarts next for its graphs."""

    def __init__(self, sticks: Sticks, dispatcher: Dispatcher) -> None:
        self._sticks = sticks
        self._dispatcher = dispatcher
        self._present: Stick | None = None
        """The stick that restarts."""
        self._stopped = False
        """It is in the log that a stick refuses the graphs."""

    def lacking(self) -> list[Stick]:
        """Sticks that work with other graphs than those of the settings."""
        return [stick for stick in self._sticks.by_id.values() if stick.present and not self._sticks.has_graphs(stick)]

    def refused_by(self) -> Stick | None:
        """A stick that could not load the graphs of the settings."""
        return next((stick for stick in self._sticks.by_id.values() if stick.present and stick.refuses_graphs), None)

    @property
    def complaint(self) -> str | None:
        """Which sticks keep other graphs than those of the settings, since another one refuses these; None: none does."""
        lacking = self.lacking() if self.refused_by() is not None else []
        return f"{', '.join(stick.label for stick in lacking)}: still with the graphs of earlier settings" if lacking else None

    def next(self) -> tuple[Stick | None, list[Action]]:
        """The stick to restart now, if any, and what there is to tell."""
        if self._present is not None and self._busy(self._present):
            return None, []
        self._present = None
        waiting = [stick for stick in self.lacking() if stick.child.running and stick.restart_by_s is None]
        if not waiting:
            self._stopped = False
            return None, []
        if (refusing := self.refused_by()) is not None:
            return None, self._told(refusing, waiting)
        self._stopped = False
        self._present = min(waiting, key=self._works)
        return self._present, [LogEvent("info", self._present.spec.id, "restarts to load other graphs")]

    def _busy(self, stick: Stick) -> bool:
        here = self._sticks.by_id.get(stick.spec.id) is stick and stick.present
        on_trial = stick.child.state is State.BACKOFF and self._has_new_guest(stick)
        return here and (stick.restart_by_s is not None or stick.child.state in ON_ITS_WAY or on_trial)

    def _has_new_guest(self, stick: Stick) -> bool:
        """It was given a guest with which no stick works."""
        running = [each.graphs for each in self._sticks.by_id.values() if each.child.running]
        return any(graph.is_guest and not any(has_all(graphs, [graph]) for graphs in running) for graph in stick.graphs)

    def _works(self, stick: Stick) -> bool:
        queue = self._dispatcher.queues.get(stick.spec.id)
        return queue is not None and queue.duty > 0.0

    def _told(self, refusing: Stick, waiting: list[Stick]) -> list[Action]:
        if self._stopped:
            return []
        self._stopped = True
        kept = ", ".join(stick.label for stick in waiting)
        text = f"cannot load the new graphs: {refusing.child.last_error}; {kept} keep the old ones: change the settings, and reload"
        return [LogEvent("error", refusing.spec.id, text)]

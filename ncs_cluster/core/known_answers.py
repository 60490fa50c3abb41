"""Sticks that answer the known picture differently from others of their kind compute wrongly, though each time the same."""

from __future__ import annotations

from collections.abc import Sequence

from ncs_cluster.types import StickId

TOLERANCE = 0.02
"""Share of a figure, and of the largest figure of its graph."""

Answers = Sequence[Sequence[float]]
"""For each graph, the figures of its answer to the known picture."""


class KnownAnswers:
    """The answers of all open sticks."""

    def __init__(self) -> None:
        self._answers: dict[StickId, tuple[object, Answers]] = {}

    def set(self, stick: StickId, kind: object, answers: Answers) -> None:
        """Record the answers of a stick that has opened. `kind` is equal for sticks that must have equal answers: of one
        backend, with the same graphs. `answers` is empty for a backend that infers no known picture."""
        self._answers[stick] = kind, answers

    def forget(self, stick: StickId) -> None:
        self._answers.pop(stick, None)

    def differing(self, stick: StickId) -> tuple[list[StickId], list[StickId]]:
        """Sticks of the same kind whose answers differ from this stick's, and the sticks that compute wrongly: those that differ
        from a majority. Without a majority, as with two sticks, no stick is known to compute wrongly."""
        own, answers = self._answers[stick]
        kind = {each: theirs for each, (its, theirs) in self._answers.items() if its == own and len(theirs) == len(answers)}
        if not answers:
            return [], []
        groups: list[list[StickId]] = []
        for each, theirs in kind.items():
            group = next((group for group in groups if equal(kind[group[0]], theirs)), None)
            if group is None:
                groups.append([each])
            else:
                group.append(each)
        differ = [each for each in kind if not any(each in group and stick in group for group in groups)]
        largest = max(groups, key=len)
        wrong = [each for each in kind if each not in largest] if 2 * len(largest) > len(kind) and len(largest) > 1 else []
        return differ, wrong


def equal(one: Answers, other: Answers) -> bool:
    """The same figures, within TOLERANCE."""
    return len(one) == len(other) and all(_close(figures, others) for figures, others in zip(one, other, strict=True))


def _close(figures: Sequence[float], others: Sequence[float]) -> bool:
    least = TOLERANCE * max((abs(figure) for figure in figures), default=0.0)
    return len(figures) == len(others) and all(
        abs(a - b) <= max(least, TOLERANCE * abs(a)) for a, b in zip(figures, others, strict=True)
    )

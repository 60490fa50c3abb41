"""The first sticks of the ring work, the others stand by until one of them cannot."""

from __future__ import annotations

from dataclasses import dataclass

from ncs_cluster.policies.base import Advice, PolicyPlugin, View
from ncs_cluster.specs import ClusterSpec
from ncs_cluster.types import StickId


@dataclass(frozen=True)
class Options:
    """How many work."""

    sticks: int = 1

    def __post_init__(self) -> None:
        if self.sticks < 1:
            raise ValueError("sticks must be 1 or more")


class Example:
    """See ncs_cluster.policies.base.Policy."""

    asked = False

    def __init__(self, sticks: int) -> None:
        self._sticks = sticks

    def advise(self, view: View) -> Advice:
        able = [stick.id for stick in view.sticks if stick.usable and not stick.hot]
        return Advice(dict.fromkeys(able[: self._sticks], 1.0))

    def ask_switch(self) -> None:
        """There is nothing to switch to."""

    def clusters(self, view: View) -> list[list[StickId]]:
        return [[stick.id for stick in view.sticks]]


def create(spec: ClusterSpec, options: Options) -> Example:
    return Example(options.sticks)


PLUGIN = PolicyPlugin(
    name="example",
    title="the first sticks of the ring work",
    create="ncs_cluster_example.policy:create",
    options="ncs_cluster_example.policy:Options",
)

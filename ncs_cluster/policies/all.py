"""`all`: every stick that is not hot works. With a cluster size the core still lets no more than that many work at once."""

from __future__ import annotations

from dataclasses import dataclass

from ncs_cluster.policies.base import Advice, View
from ncs_cluster.specs import ClusterSpec
from ncs_cluster.types import StickId


@dataclass(frozen=True)
class Options:
    """There are none."""


def create(spec: ClusterSpec, options: Options) -> All:
    return All()


class All:
    """See base.Policy."""

    asked = False

    def advise(self, view: View) -> Advice:
        return Advice({stick.id: 1.0 for stick in view.sticks if stick.usable and not stick.hot})

    def ask_switch(self) -> None:
        """There is nothing to switch to."""

    def clusters(self, view: View) -> list[list[StickId]]:
        return [[stick.id for stick in view.sticks]]

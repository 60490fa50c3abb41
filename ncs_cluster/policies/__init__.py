"""Which sticks work now, and how hard? Advice only: safety is the core's. One file each, pure; the registry is literal."""

from __future__ import annotations

from collections.abc import Callable

from ncs_cluster.policies.all import All
from ncs_cluster.policies.base import Policy
from ncs_cluster.policies.ring import Ring
from ncs_cluster.specs import ClusterSpec

POLICIES: dict[str, Callable[[ClusterSpec], Policy]] = {
    "ring": lambda spec: Ring(spec.switch_interval_s),
    "all": lambda spec: All(),
}


def create(spec: ClusterSpec) -> Policy:
    """The policy that a pool asks for."""
    return POLICIES[spec.policy](spec)

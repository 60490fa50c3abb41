"""Policies: which sticks work now, and how hard. Advice only: safety is the core's. Pure, one file each."""

from __future__ import annotations

from ncs_cluster.plugins import Registry, load, made
from ncs_cluster.policies.base import Policy, PolicyPlugin
from ncs_cluster.specs import ClusterSpec

POLICIES = Registry(
    "policy",
    "ncs_cluster.policies",
    [
        PolicyPlugin(
            name="ring",
            title="clusters of --cluster-size sticks take turns in ring order",
            create="ncs_cluster.policies.ring:create",
            options="ncs_cluster.policies.ring:Options",
            takes_turns=True,
        ),
        PolicyPlugin(
            name="all",
            title="every stick that is not hot works",
            create="ncs_cluster.policies.all:create",
            options="ncs_cluster.policies.all:Options",
        ),
        PolicyPlugin(
            name="coolest",
            title="the coolest sticks work, --cluster-size of them",
            create="ncs_cluster.policies.coolest:create",
            options="ncs_cluster.policies.coolest:Options",
        ),
        PolicyPlugin(
            name="predictive",
            title="each stick works as hard as a model of it says that its die stays under the limit",
            create="ncs_cluster.policies.predictive:create",
            options="ncs_cluster.policies.predictive:Options",
            trip_above_k=2.0,
        ),
    ],
)


def trip_c(spec: ClusterSpec) -> float:
    """The temperature from which on the core gives a stick no frame."""
    return spec.switch_temp_c + trip_above_k(spec)


def trip_above_k(spec: ClusterSpec) -> float:
    """By how much the core's trip lies over the limit of the policy."""
    return POLICIES.get(spec.policy).trip_above_k


def create(spec: ClusterSpec) -> Policy:
    """The policy that a pool asks for. Raises ConfigError for an unknown or broken plugin, ValueError for options it refuses."""
    plugin = POLICIES.get(spec.policy)
    policy: Policy = load(plugin.create)(spec, made(plugin.options, spec.policy_options))
    return policy

"""A thermal laboratory: sticks of random parameters in a room whose temperature changes, under a policy, on a virtual clock.

    result = Trial(Scenario.step(sticks=5, cluster_size=2), "ring", seed=1).run()
    share = result.share_of(bound.steady(...))

`plant` is the physics and shares no code with `ncs_cluster.thermal` and the policies; `bound` is the best rate that any policy can
reach on it; `core_pool` puts a policy into the real Regulator and Zones; `original` is the policy of the script this project
follows. All seconds are plant seconds. The dynamic bound needs scipy.
"""

from ncs_cluster.testing.conformance import PolicyConformance


class TestExample(PolicyConformance):
    plugin = "example"
    refused_options = ({"sticks": 0},)

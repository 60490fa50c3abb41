from ncs_cluster.testing.conformance import SourceConformance


class TestExample(SourceConformance):
    plugin = "example"
    refused_options = ({"frames": 0}, {"step": 256})
    refused_specs = ("example:many",)

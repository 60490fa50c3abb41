from ncs_cluster.backends.base import Backend
from ncs_cluster.testing.conformance import BackendConformance


class TestExample(BackendConformance):
    plugin = "example"
    refused_options = ({"in_flight": 0},)

    def break_device(self, backend: Backend) -> None:
        backend.close()

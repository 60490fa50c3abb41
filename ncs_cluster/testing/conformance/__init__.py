"""What every plugin must do, as tests that its author runs with pytest. Nothing else in the package imports pytest.

    from ncs_cluster.testing.conformance import BackendConformance

    class TestMine(BackendConformance):
        plugin = "mine"

The plugin is looked up by its name, as the daemon does: it must be built in or installed.
"""

from ncs_cluster.testing.conformance.backend import BackendConformance
from ncs_cluster.testing.conformance.decoder import DecoderConformance
from ncs_cluster.testing.conformance.job_sink import JobSinkConformance
from ncs_cluster.testing.conformance.policy import PolicyConformance
from ncs_cluster.testing.conformance.sink import SinkConformance
from ncs_cluster.testing.conformance.source import SourceConformance

__all__ = [
    "BackendConformance",
    "DecoderConformance",
    "JobSinkConformance",
    "PolicyConformance",
    "SinkConformance",
    "SourceConformance",
]
